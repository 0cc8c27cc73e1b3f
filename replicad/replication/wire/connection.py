"""Messages over a byte stream: what a session needs of a connection, and the TCP one.

A connection belongs to the event loop. One task receives; any task sends. Reading pauses while more than
`UNREAD_BYTES_MAX` of messages wait for the receiver, so a slow session slows its peer down.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

from replicad.env.reasons import reason_of
from replicad.errors import ProtocolError
from replicad.net.addresses import Address
from replicad.net.certificates import Certificate
from replicad.net.doors import CLEAR, Door, peer_certificate
from replicad.options import KIB, MIB
from replicad.replication.wire.framing import MessageDecoder, RawMessage
from replicad.replication.wire.messages import Message, decode, encode
from replicad.replication.wire.strangers import FIRST_BYTES, stranger

UNREAD_BYTES_MAX = 2 * MIB
SEND_BUFFER_BYTES = 512 * KIB
READ_BYTES = 128 * KIB
LINGER_SECONDS = 5.0


class Connection(Protocol):
    """An ordered, reliable stream of messages to one peer."""

    peer: str
    certificate: Certificate | None
    """The peer's; None without TLS."""

    async def receive(self) -> Message:
        """The next message. Raises ProtocolError for other bytes, ConnectionError when the peer is gone."""
        ...

    def receive_ready(self) -> Message | None:
        """The next message if it is here already."""
        ...

    def send(self, message: Message, /) -> None:
        """Queues a message; nothing happens when the connection is lost."""
        ...

    async def drain(self) -> None:
        """Returns when little of what was sent still waits here. ConnectionError when the peer is gone."""
        ...

    def idle_seconds(self) -> float:
        """Since when nothing has come from the peer; 0 while we do not read."""
        ...

    def stuck_seconds(self) -> float:
        """Since when the peer has taken nothing of what waits for it; 0 when nothing waits."""
        ...

    def allow_payloads(self, bytes_max: int, /) -> None:
        """Raises the limit of a message's payload, which is 0 at first."""
        ...

    def close(self) -> None:
        """Ends the connection after what was sent; safe to call twice."""
        ...


class TcpConnection(asyncio.BufferedProtocol):
    """The connection that daemons use. The event loop reads large payloads into their own memory."""

    def __init__(self) -> None:
        self.peer = "?"
        self.certificate: Certificate | None = None
        self._transport: asyncio.Transport | None = None
        self._closed_early = False
        self._decoder = MessageDecoder()
        self._small: memoryview | None = None
        """Where everything else is read to."""
        self._rest: memoryview | None = None
        """Of a large payload: where the event loop reads to now."""
        self._unread: deque[tuple[Message, int]] = deque()
        self._unread_bytes = 0
        self._paused = False
        self._error: Exception | None = None
        self._first = b""
        """What the peer said first."""
        self._receiver: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        self._sent_bytes = 0
        self._taken = (0, self._heard_at)

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=SEND_BUFFER_BYTES)
        raw = transport.get_extra_info("socket")
        if raw is not None:
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        address = transport.get_extra_info("peername")
        self.peer = f"{address[0]}:{address[1]}" if address else "?"
        self.certificate = peer_certificate(transport)
        self._heard_at = self._loop.time()
        if self._closed_early:
            self.close()

    def get_buffer(self, sizehint: int) -> memoryview:
        self._rest = self._decoder.rest() if self._error is None else None
        if self._rest is not None:
            return self._rest
        if self._small is None:
            self._small = memoryview(bytearray(READ_BYTES))
        return self._small

    def buffer_updated(self, size: int) -> None:
        if self._rest is not None:
            self._rest = None
            self._arrived(lambda: self._decoder.filled(size))
        else:
            assert self._small is not None
            self.data_received(self._small[:size])

    def data_received(self, data: bytes | memoryview) -> None:
        """For transports that have the bytes already."""
        if len(self._first) < FIRST_BYTES:
            self._first += bytes(data[: FIRST_BYTES - len(self._first)])
        self._arrived(lambda: self._decoder.feed(data))

    def _arrived(self, decoded: Callable[[], list[RawMessage]]) -> None:
        self._heard_at = self._loop.time()

        # After an error the decoder does not know where the next message begins.
        if self._error is not None:
            return

        try:
            for raw in decoded():
                # A KIB for each message itself: any number of empty ones must not be free.
                size = len(raw.header) + len(raw.payload) + KIB
                self._unread.append((decode(raw), size))
                self._unread_bytes += size
        except ProtocolError as error:
            reason = stranger(self._first)
            self._fail(error if reason is None else ProtocolError(f"{self.peer}: {reason}"))
            return

        # TCP slows the peer down while nothing is read. `_take` goes on when half is taken.
        if self._unread_bytes > UNREAD_BYTES_MAX and not self._paused:
            self._paused = True
            self._transport_here().pause_reading()

        if self._unread:
            _wake(self._receiver)

    def eof_received(self) -> None:
        return None

    def connection_lost(self, error: Exception | None) -> None:
        text = f"{self.peer} closed the connection"
        if not self._first and self.certificate is None:
            text += " before it said anything: is it a replication port, and does it speak TLS?"
        elif error is not None and str(error):
            text = f"{self.peer}: {reason_of(error)}"
        self._fail(ConnectionResetError(text))

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        writable, self._writable = self._writable, None
        _wake(writable)

    # What a session calls.

    async def receive(self) -> Message:
        while not self._unread:
            if self._error is not None:
                raise self._error
            self._receiver = self._loop.create_future()
            try:
                await self._receiver
            finally:
                self._receiver = None
        return self._take()

    def receive_ready(self) -> Message | None:
        return self._take() if self._unread else None

    def send(self, message: Message, /) -> None:
        transport = self._transport_here()
        if self._error is not None or transport.is_closing():
            return
        head, payload = encode(message)
        self._sent_bytes += len(head) + len(payload)
        if payload:
            transport.writelines((head, payload))
        else:
            transport.write(head)

    async def drain(self) -> None:
        while self._error is None and self._writable is not None:
            await asyncio.shield(self._writable)
        if self._error is not None:
            raise self._error

    def idle_seconds(self) -> float:
        return 0.0 if self._paused else self._loop.time() - self._heard_at

    def stuck_seconds(self) -> float:
        waiting = self._transport_here().get_write_buffer_size()
        taken, now = self._sent_bytes - waiting, self._loop.time()
        if waiting == 0 or taken > self._taken[0]:
            self._taken = (taken, now)
        return now - self._taken[1]

    def allow_payloads(self, bytes_max: int, /) -> None:
        self._decoder.payload_bytes_max = bytes_max

    def close(self) -> None:
        """A peer that takes nothing is not waited for longer than `LINGER_SECONDS`. What is not connected yet
        is closed when it is."""
        if self._transport is None:
            self._closed_early = True
        elif not self._transport.is_closing():
            self._transport.close()
            self._loop.call_later(LINGER_SECONDS, self._transport.abort)

    def _take(self) -> Message:
        message, size = self._unread.popleft()
        self._unread_bytes -= size
        if self._paused and self._unread_bytes <= UNREAD_BYTES_MAX // 2:
            self._paused = False
            self._heard_at = self._loop.time()
            if self._error is None:
                self._transport_here().resume_reading()
        return message

    def _fail(self, error: Exception) -> None:
        if self._error is None:
            self._error = error
        if isinstance(error, ProtocolError):
            self.close()
        _wake(self._receiver)
        writable, self._writable = self._writable, None
        _wake(writable)

    def _transport_here(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


async def dial(host: str, port: int, door: Door = CLEAR) -> TcpConnection:
    """Connects; raises OSError, as `Door.dial` does."""
    return await door.dial(TcpConnection, Address(host, port))
