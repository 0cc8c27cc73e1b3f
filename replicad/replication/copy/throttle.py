"""A limit of bytes a second for all copies that a node sends, which may be changed while they run."""

from __future__ import annotations

import asyncio
import contextlib

from replicad.env import Clock


class Throttle:
    """Owned by the event loop. Up to a second's worth may go at once after a pause."""

    def __init__(self, clock: Clock, bytes_per_second: int) -> None:
        self._clock = clock
        self._rate = bytes_per_second
        self._debt_bytes = 0.0
        self._at = clock.monotonic()
        self._changed = asyncio.Event()

    @property
    def bytes_per_second(self) -> int:
        """0 is no limit."""
        return self._rate

    def set(self, bytes_per_second: int) -> None:
        """Counts at once, also for those who wait."""
        self._settle()
        self._rate = bytes_per_second
        self._changed.set()
        self._changed = asyncio.Event()

    async def passage(self, size: int) -> None:
        """Returns when `size` bytes more may go. What is larger than a second's worth goes whole, and what
        follows it waits the longer."""
        while (delay := self.delay()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._changed.wait()
        if self._rate:
            self._debt_bytes += size

    def delay(self) -> float:
        """Seconds until the next bytes may go, at the present rate."""
        self._settle()
        return self._debt_bytes / self._rate if self._rate and self._debt_bytes > 0 else 0.0

    def _settle(self) -> None:
        now = self._clock.monotonic()
        if self._rate:
            paid = (now - self._at) * self._rate
            self._debt_bytes = max(self._debt_bytes - paid, -float(self._rate))
        else:
            self._debt_bytes = 0.0
        self._at = now
