"""The addresses under which this node listens, as it reports them to others. Belongs to the event loop."""

from __future__ import annotations

from replicad.daemon.ports.client_port import ClientPort
from replicad.net.addresses import Address, address_of, parse_address


class OwnAddresses:
    def __init__(self, clients: ClientPort, announce: str | None = None) -> None:
        """`announce` is the host under which others reach this node, where that is another than it listens
        at."""
        self.bound: dict[str, str] = {}
        """By the name of the port ("listen", "replication", "http"); empty until the ports are bound."""
        self._clients = clients
        self._announce = announce

    @property
    def clients(self) -> str:
        return self._told(self._clients.address)

    @property
    def replication(self) -> str:
        """ "" before it listens."""
        text = self.bound.get("replication", "")
        return self._told(parse_address(text)) if text else ""

    @property
    def replication_address(self) -> Address | None:
        """None before it listens."""
        return address_of(self.replication)

    def _told(self, address: Address) -> str:
        return str(address if self._announce is None else Address(self._announce, address.port))
