"""The addresses under which this node listens, as it reports them to others. Belongs to the event loop."""

from __future__ import annotations

from replicad.daemon.addresses import Address, address_of
from replicad.daemon.ports.client_port import ClientPort


class OwnAddresses:
    def __init__(self, clients: ClientPort) -> None:
        self.bound: dict[str, str] = {}
        """By the name of the port ("listen", "replication", "http"); empty until the ports are bound."""
        self._clients = clients

    @property
    def clients(self) -> str:
        return str(self._clients.address)

    @property
    def replication(self) -> str:
        """ "" before it listens."""
        return self.bound.get("replication", "")

    @property
    def replication_address(self) -> Address | None:
        """None before it listens."""
        return address_of(self.replication)
