"""A rate in bytes a second for the tasks of an event loop, which programs without one do not load."""

from __future__ import annotations

import asyncio
import contextlib

from replicad.env.clock import Clock
from replicad.env.rate_limit import TokenBucket


class TaskRateLimiter:
    """For the tasks of one event loop, which owns it. A task waits for the bytes before its own: what it
    sends or reads is small, and the next one waits the longer."""

    def __init__(self, clock: Clock, bytes_per_second: float | None = None) -> None:
        self._bucket = TokenBucket(clock, bytes_per_second)
        self._changed = asyncio.Event()

    @property
    def bytes_per_second(self) -> float | None:
        return self._bucket.bytes_per_second

    def set_rate(self, bytes_per_second: float | None) -> None:
        """Also for those who wait now."""
        self._bucket.set_rate(bytes_per_second)
        self._changed.set()
        self._changed = asyncio.Event()

    def delay(self) -> float:
        return self._bucket.delay()

    async def take(self, size_bytes: int) -> None:
        """Returns when `size_bytes` more may go."""
        while (delay := self._bucket.delay()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._changed.wait()
        self._bucket.take(size_bytes)
