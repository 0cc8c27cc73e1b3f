"""The doors of a node: each port and each connection to another node is opened here, and nowhere else.

    Doors ── Door "clients"      Redis clients and the command line
          ├─ Door "replication"  nodes, both ways
          └─ Door "http"         watchers

A door has TLS or has not. Through one that has not, only addresses of this machine are reached, unless the
operator said `insecure`. Belongs to the event loop.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Callable, Collection
from typing import Any, TypeVar, cast

from replicad.env.events import unbound
from replicad.env.reasons import reason_of
from replicad.errors import ConfigError
from replicad.net.addresses import Address
from replicad.net.certificates import Certificate, read_certificate, refusal_of_node
from replicad.net.handshakes import Factory, Handshakes
from replicad.net.options import Material, TlsOptions
from replicad.net.tls import HANDSHAKE_SECONDS, SHUTDOWN_SECONDS, Contexts, make_contexts
from replicad.net.tls_errors import explain

_Protocol = TypeVar("_Protocol", bound=asyncio.BaseProtocol)

KEYS = {"clients": "listen", "replication": "replication", "http": "http"}
"""Of the configuration, by door: what to change when an address cannot be had."""


class Listener:
    """A listening socket."""

    def __init__(self, server: asyncio.Server, handshakes: Handshakes | None) -> None:
        self.handshakes = handshakes
        """None without TLS."""
        self._server = server

    async def accept(self) -> None:
        """Lets connections in from now on; does nothing if it does already."""
        if not self._server.is_serving():
            await self._server.start_serving()

    def close(self) -> None:
        self._server.close()


class Door:
    """One kind of port. `allow`: the names of nodes that are talked with."""

    def __init__(
        self, name: str, material: Material | None, *, insecure: bool = False, allow: Collection[str] = ()
    ) -> None:
        """Raises ConfigError for files that do not fit."""
        self.name = name
        self.material = material
        self.contexts = None if material is None else make_contexts(material)
        self.allow = allow
        self._insecure = insecure
        self._handshakes = Handshakes(name, lambda: cast(Contexts, self.contexts))

    @property
    def is_tls(self) -> bool:
        return self.contexts is not None

    def refusal_of(self, address: Address) -> str | None:
        """Why this address is not connected to, if it is not."""
        if address.is_loopback or self.is_tls or self._insecure:
            return None
        return f"{address} is not a loopback address, and [tls] is not set"

    async def listen(
        self, factory: Factory, address: Address, *, backlog: int = 128, accept: bool = True
    ) -> tuple[Listener, Address]:
        """Takes the address; OSError if another process has it. Without `accept` nobody is let in before the
        listener's method `accept` is called."""
        loop = asyncio.get_running_loop()
        handshakes = self._handshakes if self.is_tls else None
        first = factory if handshakes is None else handshakes.before(factory)
        try:
            making = loop.create_server(
                first, address.host, address.port, backlog=backlog, start_serving=accept
            )
            # Connections have the context of this task: no events of the session that opens a port.
            server = await asyncio.create_task(making, context=unbound())
        except OSError as error:
            where = f"{KEYS.get(self.name, self.name)} = {address}"
            if error.errno == errno.EADDRINUSE:
                raise OSError(error.errno, "another process listens there", where) from None
            raise OSError(error.errno or errno.EADDRNOTAVAIL, reason_of(error), where) from None
        return Listener(server, handshakes), Address(*server.sockets[0].getsockname()[:2])

    async def dial(self, make: Callable[[], _Protocol], address: Address) -> _Protocol:
        """Connects; raises OSError, and ConnectionError with the reason when TLS does not come about, the
        other's certificate is not the right one, or the connection reached its own socket."""
        if (refusal := self.refusal_of(address)) is not None:
            raise ConnectionRefusedError(refusal)
        loop, contexts = asyncio.get_running_loop(), self.contexts
        try:
            transport, protocol = await loop.create_connection(
                make, address.host, address.port, **_tls_of_client(contexts)
            )
        except ssl.SSLError as error:
            raise ConnectionAbortedError(f"{address}: {explain(error)}") from None
        except OSError as error:
            kind = ConnectionRefusedError if isinstance(error, ConnectionRefusedError) else ConnectionError
            raise kind(f"{address}: {reason_of(error)}") from None

        refusal = None
        if contexts is not None:
            refusal = refusal_of_node(peer_certificate(transport), address.host, self.allow)
        elif transport.get_extra_info("sockname") == transport.get_extra_info("peername"):
            refusal = "nothing listens there (the connection reached itself)"
        if refusal is not None:
            transport.abort()
            raise ConnectionRefusedError(f"{address}: {refusal}")
        return protocol

    @property
    def refused_handshakes(self) -> int:
        return self._handshakes.refused

    def use(self, material: Material, contexts: Contexts) -> None:
        """For connections from now on."""
        self.material, self.contexts = material, contexts


class Doors:
    """All of a node."""

    def __init__(self, options: TlsOptions | None = None, *, insecure: bool = False) -> None:
        options = options or TlsOptions()
        self.clients = Door("clients", options.material("clients"), insecure=insecure)
        self.replication = Door(
            "replication", options.material("replication"), insecure=insecure, allow=options.allow
        )
        self.http = Door("http", options.material("http"), insecure=insecure)

    @property
    def all(self) -> tuple[Door, ...]:
        return self.clients, self.replication, self.http

    def prepare(self, options: TlsOptions) -> Callable[[], None]:
        """Reads the files as they are now; what is returned has new connections use them. Raises ConfigError,
        and changes nothing, when one of them is wrong."""
        made: list[tuple[Door, Material, Contexts]] = []
        for door in self.all:
            material = options.material(door.name)
            if (material is None) != (door.material is None):
                raise ConfigError(
                    f"tls: the port for {door.name} cannot begin or cease to use TLS while it runs"
                )
            if material is not None:
                made.append((door, material, make_contexts(material)))

        def swap() -> None:
            self.replication.allow = options.allow
            for door, material, contexts in made:
                door.use(material, contexts)

        return swap


async def open_stream(
    door: Door, address: Address, limit: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """As `asyncio.open_connection`, through a door."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=limit, loop=loop)
    protocol = await door.dial(lambda: _Stream(reader, loop=loop), address)
    return reader, asyncio.StreamWriter(protocol.transport, protocol, reader, loop)


class _Stream(asyncio.StreamReaderProtocol):
    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        super().connection_made(transport)


CLEAR = Door("nodes", None)
"""For this machine only."""


def peer_certificate(transport: asyncio.BaseTransport) -> Certificate | None:
    """That of the other side; None without TLS, and for a client that showed none."""
    return read_certificate(transport.get_extra_info("peercert"))


def is_tls(transport: asyncio.BaseTransport) -> bool:
    return transport.get_extra_info("sslcontext") is not None


def _tls_of_client(contexts: Contexts | None) -> dict[str, Any]:
    return {} if contexts is None else {"ssl": contexts.client, **_TIMES}


_TIMES = {"ssl_handshake_timeout": HANDSHAKE_SECONDS, "ssl_shutdown_timeout": SHUTDOWN_SECONDS}
"""Closing would otherwise go on reading for 30 seconds."""
