"""TCP in virtual time, as far as programs see it: ordered bytes, delays, windows, resets, silence.

    transport.write -> buffer -> (window) -> on its way -> arrival -> protocol.data_received

Every direction between two hosts can be closed on its own: what is on its way then arrives when it is open
again, as retransmissions do, and nobody is told. A process that ends resets its connections; a machine that
loses its power says nothing, and answers with resets once it is back.
"""

from __future__ import annotations

import asyncio
import random
import zlib
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from itertools import count
from typing import Any

from tests.sim.loop import PROCESS, Process, VirtualLoop

WINDOW_BYTES = 64 * 1024
RETRANSMIT_SECONDS_MAX = 0.4
ACCEPT_SECONDS_MAX = 0.004

Address = tuple[str, int]


class Listener:
    """What `create_server` returns."""

    def __init__(self, network: Network, address: Address, factory: Callable[[], Any]) -> None:
        self.factory = factory
        self.address = address
        self.process = PROCESS.get()
        self.context = copy_context()
        self._network = network
        self.sockets = (self,)

    def getsockname(self) -> Address:
        return self.address

    def is_serving(self) -> bool:
        return True  # since it was made

    def close(self) -> None:
        if self._network.listeners.get(self.address) is self:
            del self._network.listeners[self.address]


class SimTransport(asyncio.Transport):
    """One end of a connection."""

    def __init__(self, network: Network, here: Address, there: Address, context: Context) -> None:
        super().__init__()
        self._network = network
        self._serial = network.count()
        self.here, self.there = here, there
        self.context = context
        self.process: Process | None = context.get(PROCESS)
        self.protocol: Any = None
        self.factory: Callable[[], Any] | None = None
        """Makes the protocol, at the end that was connected to, when its process comes to that."""
        self.travelling: deque[Any] = deque()
        self.peer: SimTransport
        self.lost = False
        """The protocol was told, or never will be."""
        self.forgotten = False
        """The machine lost its power: what arrives finds nobody."""
        self._closing = False
        self._ending = False
        self._buffer: deque[bytes] = deque()
        self._buffered = 0
        self._on_its_way = 0
        self._last_arrival = 0.0
        self._arrived: deque[bytes | None] = deque()
        self._reading = True
        self._pumping = False
        self._high = 64 * 1024
        self._paused_writing = False

    def __hash__(self) -> int:
        return self._serial

    # What protocols call.

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": self.there, "sockname": self.here}.get(name, default)

    def is_closing(self) -> bool:
        return self._closing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._ending or self._closing or not data:
            return
        self._buffer.append(bytes(data))
        self._buffered += len(data)
        self._send()
        if self._buffered > self._high and not self._paused_writing:
            self._paused_writing = True
            self.protocol.pause_writing()

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def get_write_buffer_size(self) -> int:
        return self._buffered

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = 64 * 1024 if high is None else high

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self._pump_soon()

    def is_reading(self) -> bool:
        return self._reading

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        self._reading = False
        self._end_when_sent()

    def abort(self) -> None:
        self._closing = True
        self._buffer.clear()
        self._buffered = 0
        if not self.lost and not self._ending:
            self._ending = True
            self._network.travel(self, self.peer, self.peer.reset)
        self._lose(None)

    # What the network does.

    def _send(self) -> None:
        while self._buffer and self._on_its_way < WINDOW_BYTES:
            data = self._buffer.popleft()
            if len(data) > WINDOW_BYTES:
                self._buffer.appendleft(data[WINDOW_BYTES:])
                data = data[:WINDOW_BYTES]
            self._buffered -= len(data)
            self._on_its_way += len(data)
            self._network.travel(self, self.peer, self.peer.arrive, data)
        if self._paused_writing and self._buffered <= self._high // 4:
            self._paused_writing = False
            self._in_context(lambda: None if self.lost else self.protocol.resume_writing())
        self._end_when_sent()

    def _end_when_sent(self) -> None:
        if self._closing and not self._buffer and not self._ending:
            self._ending = True
            self._network.travel(self, self.peer, self.peer.arrive, None)
            self._lose(None)

    def taken(self, size: int) -> None:
        """The peer's process has read so much."""
        self._on_its_way -= size
        if not self.lost:
            self._send()

    def arrive(self, data: bytes | None) -> None:
        if self.forgotten or (self.lost and data is not None):
            if not self.forgotten or self._network.is_up(self.here[0]):
                self._network.travel(self, self.peer, self.peer.reset)
            return
        self._arrived.append(data)
        self._pump_soon()

    def reset(self) -> None:
        self._closing = True
        self._ending = True
        self._buffer.clear()
        self._buffered = 0
        self._arrived.clear()
        self._lose(ConnectionResetError("connection reset by peer"))

    def _pump_soon(self) -> None:
        if not self._pumping:
            self._pumping = True
            self._in_context(self._pump)

    def _pump(self) -> None:
        self._pumping = False
        if self.lost:
            return
        if self.protocol is None:
            if self.factory is None:
                return  # Who connected has not come to that yet.
            self.protocol = self.factory()
            self.protocol.connection_made(self)
        if not self._arrived or not self._reading:
            return
        data = self._arrived.popleft()
        if data is None:
            self._network.note(self, "end", 0)
            if not self.protocol.eof_received():
                self.close()
            return
        self._network.note(self, "data", zlib.crc32(data))
        self.peer.taken(len(data))
        self.protocol.data_received(data)
        if self._arrived:
            self._pump_soon()

    def _lose(self, error: Exception | None) -> None:
        if not self.lost:
            self.lost = True
            self._network.transports.pop(self, None)
            if self.protocol is not None:
                self._in_context(lambda: self.protocol.connection_lost(error))

    def _in_context(self, callback: Callable[[], object]) -> None:
        self._network.loop.call_soon(callback, context=self.context)


class Network:
    """`note` is told of every delivery."""

    def __init__(
        self, loop: VirtualLoop, draw: random.Random, note: Callable[[SimTransport, str, int], None]
    ) -> None:
        self.loop = loop
        self.note = note
        self.listeners: dict[Address, Listener] = {}
        self.transports: dict[SimTransport, None] = {}
        self.closed: set[tuple[str, str]] = set()
        """Directions between hosts that nothing passes."""
        self.down: set[str] = set()
        self.delay_seconds_max = 0.004
        self._draw = draw
        self._ports = count(32768)
        self._transports = count()

    def count(self) -> int:
        """Transports are numbered, so that sets of them are the same in every process."""
        return next(self._transports)

    def is_up(self, host: str) -> bool:
        return host not in self.down

    def listen(self, factory: Callable[[], Any], host: str, port: int) -> Listener:
        address = (host, port)
        if address in self.listeners:
            raise OSError(98, f"address already in use: {address}")
        listener = self.listeners[address] = Listener(self, address, factory)
        return listener

    async def connect(self, factory: Callable[[], Any], host: str, port: int) -> tuple[Any, Any]:
        loop = self.loop
        process = PROCESS.get()
        here = (getattr(process, "host", "127.0.0.99"), next(self._ports))
        answer: asyncio.Future[None] = loop.create_future()
        client = SimTransport(self, here, (host, port), copy_context())

        def accept() -> None:
            listener = self.listeners.get((host, port))
            if answer.done() or host in self.down:
                return
            if listener is None:
                self._travel(host, here[0], client, refuse)
                return
            server = SimTransport(self, (host, port), here, listener.context)
            client.peer, server.peer = server, client
            self.transports[server] = None
            server._in_context(lambda: self._take_later(server, listener))
            self._travel(host, here[0], server, opened)

        def opened() -> None:
            if answer.done() or (client.process is not None and not client.process.alive):
                client.peer.reset()
            else:
                answer.set_result(None)

        def refuse() -> None:
            if not answer.done():
                answer.set_exception(ConnectionRefusedError(f"nothing listens at {host}:{port}"))

        self._travel(here[0], host, client, accept)
        await answer
        if client._ending:
            raise ConnectionResetError("connection reset by peer")
        protocol = factory()
        client.protocol = protocol
        self.transports[client] = None
        protocol.connection_made(client)
        client._pump_soon()
        return client, protocol

    def _take_later(self, server: SimTransport, listener: Listener) -> None:
        """The kernel has the connection; its program comes to it a moment later, after what it had to do."""

        def take() -> None:
            server.factory = listener.factory
            server._pump_soon()

        self.loop.call_later(self._draw.random() ** 3 * ACCEPT_SECONDS_MAX, take)

    def travel(
        self, sender: SimTransport, receiver: SimTransport, arrival: Callable[..., None], *args: Any
    ) -> None:
        self._travel(sender.here[0], receiver.here[0], sender, arrival, *args)

    def _travel(
        self, source: str, target: str, sender: SimTransport, arrival: Callable[..., None], *args: Any
    ) -> None:
        """In order with what the sender sent before."""
        delay = self._draw.random() ** 3 * self.delay_seconds_max
        when = max(sender._last_arrival, self.loop.now + delay) + 1e-6
        sender._last_arrival = when
        sender.travelling.append((source, target, arrival, args))
        self._arrive_at(when, sender)

    def _arrive_at(self, when: float, sender: SimTransport) -> None:
        asyncio.BaseEventLoop.call_at(self.loop, when, self._arrive, sender, context=_OUTSIDE)

    def _arrive(self, sender: SimTransport) -> None:
        source, target, arrival, args = sender.travelling[0]
        if (source, target) in self.closed:
            again = self.loop.now + self._draw.random() * RETRANSMIT_SECONDS_MAX
            self._arrive_at(again, sender)
            return
        sender.travelling.popleft()
        arrival(*args)

    # Faults.

    def reset_between(self, one: str, other: str) -> None:
        """Every connection between two hosts breaks, and both are told."""
        for transport in list(self.transports):
            if (transport.here[0], transport.there[0]) in ((one, other), (other, one)):
                transport.reset()

    def process_ended(self, process: Process, *, power_lost: bool) -> None:
        """The kernel resets what a process leaves; without power nobody does."""
        for address in [a for a, listener in self.listeners.items() if listener.process is process]:
            del self.listeners[address]
        for transport in [t for t in self.transports if t.process is process]:
            del self.transports[transport]
            transport.forgotten = True
            transport.lost = True
            if not power_lost and not transport._ending:
                transport._ending = True
                self.travel(transport, transport.peer, transport.peer.reset)


_OUTSIDE = Context()
