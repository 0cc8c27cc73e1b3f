"""How a transfer goes: bytes, rate and estimate, for the status and the log of either side."""

from __future__ import annotations

from collections import deque

RATE_SECONDS = 10.0


class Transfer:
    """`total_bytes` are to be moved. The rate is that of the last ten seconds; times are monotonic."""

    def __init__(self, total_bytes: int, now: float) -> None:
        self.total_bytes = total_bytes
        self.moved_bytes = 0
        self.started_at = now
        self._marks: deque[tuple[float, int]] = deque([(now, 0)])

    def move(self, size: int, now: float) -> None:
        self.moved_bytes += size
        if now - self._marks[-1][0] > RATE_SECONDS / 50:
            self._marks.append((now, self.moved_bytes))
            while now - self._marks[0][0] > RATE_SECONDS:
                self._marks.popleft()

    def bytes_per_second(self, now: float) -> float:
        """0.0 while nothing can be said."""
        while len(self._marks) > 1 and now - self._marks[0][0] > RATE_SECONDS:
            self._marks.popleft()
        at, moved = self._marks[0]
        return (self.moved_bytes - moved) / (now - at) if now > at else 0.0

    def seconds_left(self, now: float) -> float | None:
        """None while nothing moves."""
        rate = self.bytes_per_second(now)
        return (self.total_bytes - self.moved_bytes) / rate if rate > 0 else None
