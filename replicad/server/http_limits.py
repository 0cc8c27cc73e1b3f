"""Limits of the HTTP port: how many connections there are, and how long one may take to ask something.

Without them anybody who reaches the port takes the file descriptors that the store needs: aiohttp waits for
the rest of a request for ever. When all connections are taken, the oldest one of the address that has most
gives way to another address.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from replicad.net.guests import Guests, network_of

CONNECTIONS_MAX = 64
"""Far more than those who watch a node: a browser, a balancer and two scrapers."""
REQUEST_SECONDS_MAX = 10.0
"""From the connection to the end of its first request's head."""
IDLE_SECONDS_MAX = 75.0
"""From one request to the end of the next one's head: longer than the pause between two scrapes."""
HEAD_BYTES_MAX = 16384
"""Of all that comes between two answers: a request and its headers. Nobody has to send more."""
LINE_BYTES_MAX = FIELD_BYTES_MAX = 4096
HEADERS_MAX = 64


class Limits:
    """The connections of one listener."""

    def __init__(
        self,
        make: Callable[[], asyncio.Protocol],
        *,
        connections_max: int = CONNECTIONS_MAX,
        request_seconds_max: float = REQUEST_SECONDS_MAX,
        idle_seconds_max: float = IDLE_SECONDS_MAX,
        head_bytes_max: int = HEAD_BYTES_MAX,
        refused: Callable[[str], None] = lambda kind: None,
    ) -> None:
        """`refused` is told of each connection that is refused or ended, and by which limit."""
        self._make = make
        self._connections_max = connections_max
        self._request_seconds_max = request_seconds_max
        self._idle_seconds_max = idle_seconds_max
        self._head_bytes_max = head_bytes_max
        self._refused = refused
        self._came_bytes: dict[asyncio.BaseTransport, int] = {}
        self._open: dict[asyncio.BaseTransport, asyncio.TimerHandle] = {}
        self._guests = Guests[asyncio.BaseTransport]()

    def __len__(self) -> int:
        return len(self._open)

    def connection(self) -> asyncio.Protocol:
        """The factory of a listener."""
        return _Limited(self, self._make())

    def opened(self, transport: asyncio.BaseTransport) -> bool:
        """False where it is one too many."""
        peer = transport.get_extra_info("peername")
        network = network_of(str(peer[0]) if isinstance(peer, tuple) else "")
        if len(self._open) >= self._connections_max:
            self._refused("connections")
            leaves = self._guests.to_leave(network)
            if leaves is None:
                return False
            self.closed(leaves)
            _end(leaves)

        self._guests.add(transport, network)
        self._came_bytes[transport] = 0
        self._end_after(transport, self._request_seconds_max)
        return True

    def came(self, transport: asyncio.BaseTransport, size: int) -> bool:
        """Bytes came; False where they are too many, and the connection is ended."""
        self._came_bytes[transport] = came = self._came_bytes.get(transport, 0) + size
        if came <= self._head_bytes_max:
            return True
        self._refused("size")
        _end(transport)
        return False

    def asked(self, transport: asyncio.BaseTransport | None) -> None:
        """The head of a request has come over it."""
        if transport in self._open:
            self._came_bytes[transport] = 0
            self._open[transport].cancel()
            self._end_after(transport, self._idle_seconds_max)

    def closed(self, transport: asyncio.BaseTransport) -> None:
        self._guests.remove(transport)
        self._came_bytes.pop(transport, None)
        timer = self._open.pop(transport, None)
        if timer is not None:
            timer.cancel()

    def _end_after(self, transport: asyncio.BaseTransport, seconds: float) -> None:
        self._open[transport] = asyncio.get_running_loop().call_later(seconds, self._too_late, transport)

    def _too_late(self, transport: asyncio.BaseTransport) -> None:
        self._refused("deadline")
        _end(transport)


def _end(transport: asyncio.BaseTransport) -> None:
    # Not `close`: that waits for what a client does not read.
    getattr(transport, "abort", transport.close)()


class _Limited(asyncio.Protocol):
    """Passes everything on to aiohttp's protocol."""

    def __init__(self, limits: Limits, inner: asyncio.Protocol) -> None:
        self._limits = limits
        self._inner = inner
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not self._limits.opened(transport):
            transport.close()
            return
        self._transport = transport
        self._inner.connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._transport is not None:
            self._limits.closed(self._transport)
            self._inner.connection_lost(error)

    def data_received(self, data: bytes) -> None:
        if self._transport is not None and self._limits.came(self._transport, len(data)):
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return None if self._transport is None else self._inner.eof_received()

    def pause_writing(self) -> None:
        if self._transport is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._transport is not None:
            self._inner.resume_writing()
