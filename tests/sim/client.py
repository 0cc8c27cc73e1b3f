"""A Redis client in virtual time, and the applications that use it.

Each write is told from every other: its value and its annotation begin with its own number.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import hiredis

from tests.sim.loop import VirtualLoop


class ClientConnection(asyncio.Protocol):
    """Commands in, replies out, in order."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader()
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._lost: Exception | None = None
        self._transport: Any = None

    @classmethod
    async def open(cls, host: str, seconds: float, port: int = 6380) -> ClientConnection:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(seconds):
            _, connection = await loop.create_connection(cls, host, port)
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(reply)

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = ConnectionResetError("lost")
        for future in self._waiting:
            if not future.done():
                future.set_exception(ConnectionResetError("lost"))

    async def call(self, *commands: tuple[bytes, ...], seconds: float) -> list[Any]:
        """The replies to commands sent together; errors are `hiredis.ReplyError` values among them."""
        if self._lost is not None:
            raise self._lost
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in commands]
        self._waiting.extend(futures)
        self._transport.write(b"".join(map(_encoded, commands)))
        try:
            async with asyncio.timeout(seconds):
                return [await future for future in futures]
        finally:
            for future in futures:
                if future.done() and not future.cancelled():
                    future.exception()

    def close(self) -> None:
        self._transport.abort()


def _encoded(command: tuple[bytes, ...]) -> bytes:
    return b"*%d\r\n" % len(command) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in command)


def is_error(reply: Any) -> bool:
    return isinstance(reply, hiredis.ReplyError)


__all__ = ["ClientConnection", "VirtualLoop", "is_error"]
