"""TLS at a port: the event loop accepts a connection and lets go of it; the handshake comes next, and then
the protocol that the port is for.

So a handshake that fails is known with its address and its reason, and each gets the contexts of its day.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import Counter
from collections.abc import Callable
from typing import cast

from replicad.env.events import get_logger
from replicad.net.addresses import shown_peer
from replicad.net.tls import HANDSHAKE_SECONDS, SHUTDOWN_SECONDS, Contexts
from replicad.net.tls_errors import explain

log = get_logger("replicad.net")

Factory = Callable[[], asyncio.BaseProtocol]

UNDER_WAY_MAX = 256
"""Handshakes at once at one port: each takes memory and a processor before anybody is known."""


TOO_MANY = "too many handshakes are under way"


class Handshakes:
    """Of one port, however often it listens. `contexts` gives those to use now."""

    def __init__(self, port: str, contexts: Callable[[], Contexts]) -> None:
        self.refused = 0
        """How often."""
        self._port = port
        self._contexts = contexts
        self._under_way: dict[asyncio.Task[None], str] = {}
        """By host, the oldest first."""

    def before(self, factory: Factory) -> Factory:
        """The protocols of connections that come: `factory` makes those that follow after the handshake."""
        return lambda: _Arrived(self, factory)

    def begin(self, accepted: _Accepted, factory: Factory) -> None:
        host = _host_of(accepted)
        if len(self._under_way) >= UNDER_WAY_MAX and not self._give_way_to(host):
            self._refuse(accepted, TOO_MANY)
            return
        task = asyncio.get_running_loop().create_task(self._shake(accepted, factory))
        self._under_way[task] = host
        task.add_done_callback(lambda done: self._under_way.pop(done, None))

    def _give_way_to(self, host: str) -> bool:
        """Ends the oldest handshake of the host that has most, if that is more than this host would have: who
        stalls many does not keep the others out."""
        (busiest, count), *_ = (hosts := Counter(self._under_way.values())).most_common(1)
        if count <= hosts[host] + 1:
            return False
        oldest = next(task for task, its_host in self._under_way.items() if its_host == busiest)
        del self._under_way[oldest]
        oldest.cancel()
        return True

    async def _shake(self, accepted: _Accepted, factory: Factory) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: _Secured(factory),
                accepted,
                ssl=self._contexts().server,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=SHUTDOWN_SECONDS,
            )
        except asyncio.CancelledError:
            if asyncio.current_task() not in self._under_way:
                self._refuse(accepted, TOO_MANY)
            raise
        except ConnectionResetError:
            # Who comes and goes without a word looked whether the port is open.
            log.debug("net.went_away", port=self._port)
        except ConnectionAbortedError:
            self._refuse(accepted, "no handshake in time")
        except OSError as error:
            self._refuse(accepted, explain(error))

    def _refuse(self, accepted: _Accepted, reason: str) -> None:
        self.refused += 1
        log.warning("net.tls_refused", port=self._port, peer=shown_peer(accepted.came_from), reason=reason)
        accepted.close()


class _Arrived(asyncio.Protocol):
    def __init__(self, handshakes: Handshakes, factory: Factory) -> None:
        self._handshakes = handshakes
        self._factory = factory

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        try:
            accepted = _Accepted(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        except OSError as error:
            log.warning("net.not_taken", reason=str(error))
        else:
            accepted.came_from = transport.get_extra_info("peername")
            accepted.setblocking(False)
            self._handshakes.begin(accepted, self._factory)
        finally:
            cast(asyncio.Transport, transport).abort()


class _Accepted(socket.socket):
    came_from: object = None


def _host_of(accepted: _Accepted) -> str:
    address = accepted.came_from
    return str(address[0]) if isinstance(address, tuple) else "unix"


class _Secured(asyncio.Protocol):
    """Gives way to the real protocol when the handshake is done: one that fails makes none."""

    def __init__(self, factory: Factory) -> None:
        self._factory = factory

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        protocol = self._factory()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
