"""Limits of the HTTP port: how many connections there are, and how long one may take to ask something.

Without them anybody who reaches the port takes the file descriptors that the store needs: aiohttp waits for
the rest of a request for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

CONNECTIONS_MAX = 64
"""Far more than those who watch a node: a browser, a balancer and two scrapers."""
REQUEST_SECONDS_MAX = 10.0
"""From the connection to the end of its first request's head."""
IDLE_SECONDS_MAX = 75.0
"""From one request to the end of the next one's head: longer than the pause between two scrapes."""


class Limits:
    """The connections of one listener."""

    def __init__(
        self,
        make: Callable[[], asyncio.Protocol],
        *,
        connections_max: int = CONNECTIONS_MAX,
        request_seconds_max: float = REQUEST_SECONDS_MAX,
        idle_seconds_max: float = IDLE_SECONDS_MAX,
    ) -> None:
        self._make = make
        self._connections_max = connections_max
        self._request_seconds_max = request_seconds_max
        self._idle_seconds_max = idle_seconds_max
        self._open: dict[asyncio.BaseTransport, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._open)

    def connection(self) -> asyncio.Protocol:
        """The factory of a listener: a connection beyond the limit is closed at once."""
        if len(self._open) >= self._connections_max:
            return _Refused()
        return _Limited(self, self._make())

    def opened(self, transport: asyncio.BaseTransport) -> None:
        self._end_after(transport, self._request_seconds_max)

    def asked(self, transport: asyncio.BaseTransport | None) -> None:
        """The head of a request has come over it."""
        if transport in self._open:
            self._open[transport].cancel()
            self._end_after(transport, self._idle_seconds_max)

    def closed(self, transport: asyncio.BaseTransport) -> None:
        timer = self._open.pop(transport, None)
        if timer is not None:
            timer.cancel()

    def _end_after(self, transport: asyncio.BaseTransport, seconds: float) -> None:
        # Not `close`: that waits for what a client does not read.
        end = getattr(transport, "abort", transport.close)
        self._open[transport] = asyncio.get_running_loop().call_later(seconds, end)


class _Refused(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class _Limited(asyncio.Protocol):
    """Passes everything on to aiohttp's protocol."""

    def __init__(self, limits: Limits, inner: asyncio.Protocol) -> None:
        self._limits = limits
        self._inner = inner
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._limits.opened(transport)
        self._inner.connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._transport is not None:
            self._limits.closed(self._transport)
        self._inner.connection_lost(error)

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()
