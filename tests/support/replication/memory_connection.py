"""Two ends of a connection in memory, through the real encoding, with faults on request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from replicad.net.certificates import Certificate
from replicad.replication.wire.framing import MessageDecoder
from replicad.replication.wire.messages import Message, decode, encode


@dataclass(eq=False)
class MemoryConnection:
    """One end. `meddle` may change or swallow the bytes of each message that this end sends."""

    peer: str = "memory"
    other: MemoryConnection | None = None
    meddle: Callable[[bytes], bytes | None] = field(default=lambda data: data)
    silent_for: float = 0.0
    certificate: Certificate | None = None

    def __post_init__(self) -> None:
        self.inbox: asyncio.Queue[Message | Exception] = asyncio.Queue()
        self.decoder = MessageDecoder()
        self.sent: list[Message] = []
        self.closed = False
        self.error: Exception | None = None

    async def receive(self) -> Message:
        if self.error is not None and self.inbox.empty():
            raise self.error
        return self._opened(await self.inbox.get())

    def receive_ready(self) -> Message | None:
        return None if self.inbox.empty() or self.error is not None else self._opened(self.inbox.get_nowait())

    def send(self, message: Message, /) -> None:
        if self.closed or self.other is None or self.other.closed:
            return
        self.sent.append(message)
        data = self.meddle(b"".join(encode(message)))
        if data is not None:
            self.other.arrived(data)

    async def drain(self) -> None:
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error

    def idle_seconds(self) -> float:
        return self.silent_for

    def stuck_seconds(self) -> float:
        return 0.0

    def allow_payloads(self, bytes_max: int, /) -> None:
        self.decoder.payload_bytes_max = bytes_max

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            for end in (self, self.other):
                if end is not None:
                    end.inbox.put_nowait(ConnectionResetError("closed"))

    def arrived(self, data: bytes) -> None:
        try:
            for raw in self.decoder.feed(data):
                self.inbox.put_nowait(decode(raw))
        except Exception as error:
            self.inbox.put_nowait(error)

    def _opened(self, item: Message | Exception) -> Message:
        if isinstance(item, Exception):
            self.error = item
            raise item
        return item


def pair() -> tuple[MemoryConnection, MemoryConnection]:
    left, right = MemoryConnection("right"), MemoryConnection("left")
    left.other, right.other = right, left
    return left, right
