"""A rate in bytes a second, shared by every thread that copies, and changeable while they do."""

from __future__ import annotations

import threading
from collections.abc import Callable

from replicad.env import Clock
from replicad.errors import InvalidArgument

_PAUSE_SECONDS_MAX = 0.2
"""How soon a new rate, or a stop, is noticed."""


class RateLimiter:
    """`bytes_per_second` is None for no limit; set it at any time."""

    def __init__(self, clock: Clock, bytes_per_second: float | None = None) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._rate = bytes_per_second
        self._free_at = clock.monotonic()
        """When all that was taken so far is paid for."""

    @property
    def bytes_per_second(self) -> float | None:
        return self._rate

    @bytes_per_second.setter
    def bytes_per_second(self, rate: float | None) -> None:
        if rate is not None and not rate > 0:
            raise InvalidArgument(f"bytes_per_second must be more than 0, or None, not {rate!r}")
        with self._changed:
            self._rate = rate
            self._free_at = self._clock.monotonic()
            self._changed.notify_all()

    def take(self, count: int, check: Callable[[], None] = lambda: None) -> None:
        """Returns when `count` bytes more may pass. `check` is called while it waits, and may raise."""
        if self._rate is None:
            return
        with self._changed:
            rate = self._rate
            if rate is None:
                return
            begin = max(self._free_at, self._clock.monotonic())
            self._free_at = begin + count / rate
            mine = self._free_at
            while self._rate is not None and (left := min(mine, self._free_at) - self._clock.monotonic()) > 0:
                check()
                self._changed.wait(min(left, _PAUSE_SECONDS_MAX))
