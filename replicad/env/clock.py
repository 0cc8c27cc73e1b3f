"""Two clocks that must not be confused: one to measure with, one to show."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Deadlines and ages use `monotonic`; `wall_us` and `wall_ns` are data, which may jump."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        ...

    def awake(self) -> float:
        """Seconds since some fixed moment; unlike `monotonic` it goes on while the machine sleeps."""
        ...

    def wall_us(self) -> int:
        """Microseconds since 1970-01-01 UTC."""
        ...

    def wall_ns(self) -> int:
        """The same in nanoseconds, for the write path: as bare a call as the clock has."""
        ...


class SystemClock:
    """The machine's clocks."""

    wall_ns = staticmethod(time.time_ns)
    monotonic = staticmethod(time.monotonic)

    def awake(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wall_us(self) -> int:
        return time.time_ns() // 1000
