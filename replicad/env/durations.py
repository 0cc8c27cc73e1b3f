"""How long something took, each time: counts by bucket and their sum, for a histogram.

To add one costs a search among a few numbers, and no lock: one thread at a time adds.
"""

from __future__ import annotations

from bisect import bisect_left

BOUNDS = (
    *(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0),
)
"""Upper ends of the buckets in seconds: from a lookup in memory to a disk that hangs. The last has none."""


class Durations:
    __slots__ = ("counts", "sum_seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.sum_seconds = 0.0

    def add(self, seconds: float, times: int = 1) -> None:
        """`times` of them took that long each."""
        self.counts[bisect_left(BOUNDS, seconds)] += times
        self.sum_seconds += seconds * times

    @property
    def count(self) -> int:
        return sum(self.counts)

    def quantile(self, part: float) -> float:
        """The upper end, in seconds, of the bucket that this part of them did not exceed; 0 before the first,
        and the greatest bound for what is longer than all."""
        left = part * self.count
        for bound, count in zip(BOUNDS, self.counts, strict=False):
            left -= count
            if left <= 0:
                return bound if self.count else 0.0
        return BOUNDS[-1]
