"""A rate in bytes a second, shared by all who copy or read, and changeable while they do.

Threads wait for the token bucket here, tasks of an event loop in `task_rate_limit`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from replicad.env.clock import Clock
from replicad.errors import InvalidArgument

BURST_SECONDS = 0.1
"""Makes up for timers that ring late; more would let a background job have the disk for itself."""
_PAUSE_SECONDS_MAX = 0.2
"""A waiting thread notices a stop within this time."""


class TokenBucket:
    """Holds at most BURST_SECONDS' worth of bytes: that much may go at once after a pause.

    It begins empty, and may go below zero: what is larger goes whole, and what follows waits the longer. A
    new rate counts at once, for what is owed already, too. Not thread-safe.
    """

    def __init__(self, clock: Clock, bytes_per_second: float | None) -> None:
        """None means no limit."""
        self._clock = clock
        self._rate = _checked(bytes_per_second)
        self._tokens = 0.0
        self._taken = 0
        self._at = clock.monotonic()

    @property
    def bytes_per_second(self) -> float | None:
        return self._rate

    def set_rate(self, bytes_per_second: float | None) -> None:
        self._fill()
        self._rate = _checked(bytes_per_second)

    def take(self, size_bytes: int) -> int:
        """All bytes that were taken so far, these included."""
        self._fill()
        self._taken += size_bytes
        if self._rate is not None:
            self._tokens -= size_bytes
        return self._taken

    def delay(self, taken: int | None = None) -> float:
        """Seconds until everything that was taken is paid for, at the present rate; with `taken`, what `take`
        returned, only what was taken until then."""
        self._fill()
        if self._rate is None:
            return 0.0
        later = 0 if taken is None else self._taken - taken
        return max(0.0, (-self._tokens - later) / self._rate)

    def _fill(self) -> None:
        now = self._clock.monotonic()
        if self._rate is None:
            self._tokens = 0.0
        else:
            filled = self._tokens + (now - self._at) * self._rate
            self._tokens = min(filled, BURST_SECONDS * self._rate)
        self._at = now


class ThreadRateLimiter:
    """For threads. Each waits for its own bytes, too: a file may be all that there is to copy."""

    def __init__(self, clock: Clock, bytes_per_second: float | None = None) -> None:
        self._bucket = TokenBucket(clock, bytes_per_second)
        self._changed = threading.Condition()

    @property
    def bytes_per_second(self) -> float | None:
        return self._bucket.bytes_per_second

    @bytes_per_second.setter
    def bytes_per_second(self, rate: float | None) -> None:
        with self._changed:
            self._bucket.set_rate(rate)
            self._changed.notify_all()

    def take(self, size_bytes: int, check: Callable[[], None] = lambda: None) -> None:
        """Returns when `size_bytes` more may go. `check` is called while it waits, and may raise."""
        if self._bucket.bytes_per_second is None:
            return
        with self._changed:
            taken = self._bucket.take(size_bytes)
            # What others take meanwhile is paid for after this: first come, first served.
            while (delay := self._bucket.delay(taken)) > 0:
                check()
                self._changed.wait(min(delay, _PAUSE_SECONDS_MAX))


def _checked(rate: float | None) -> float | None:
    if rate is not None and not rate > 0:
        raise InvalidArgument(f"bytes_per_second must be more than 0, or None, not {rate!r}")
    return rate
