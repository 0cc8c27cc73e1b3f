"""A clock that stands until a test moves it."""

from __future__ import annotations

import time


class ManualClock:
    """`wall`, in microseconds, is the machine's while it is None."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.wall: int | None = None

    def monotonic(self) -> float:
        return self.now

    def awake(self) -> float:
        return self.now

    def wall_us(self) -> int:
        return time.time_ns() // 1000 if self.wall is None else self.wall

    def wall_ns(self) -> int:
        return self.wall_us() * 1000
