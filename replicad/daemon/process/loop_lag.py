"""How long the event loop keeps others waiting: a timer that says how late it was called.

Everything that a node does for its clients and replicas happens in one loop, so one long call delays all of
them. The timer is due each 20 ms; a call of 50 ms makes it between 30 and 50 ms late. The figures are of the
last minute or two, and a quantile is the upper end of its bucket, at most a fifth too much.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from typing import Any

from replicad.env import Clock
from replicad.env.durations import Durations

TICK_SECONDS = 0.02
"""To wake an idle node so often costs about half a percent of a processor."""
WINDOW_TICKS = 3000
BUCKET_SECONDS_MIN = 0.00025
BUCKETS_PER_DOUBLING = 4
BOUNDS = [BUCKET_SECONDS_MIN * 2 ** (n / BUCKETS_PER_DOUBLING) for n in range(64)]
"""Upper ends of the buckets, up to 14 s; the last bucket has none."""


class LagWindow:
    """Counts by bucket of a number of ticks. Not of all: two of these make a window that moves."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.ticks = 0
        self.seconds_max = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.ticks += 1
        self.seconds_max = max(self.seconds_max, seconds)


def quantile_seconds(windows: list[LagWindow], part: float) -> float:
    """What this part of the ticks did not exceed; never more than the longest, and 0 before the first."""
    longest = max(window.seconds_max for window in windows)
    left = part * sum(window.ticks for window in windows)
    for bound, counts in zip(BOUNDS, zip(*(window.counts for window in windows), strict=True), strict=False):
        left -= sum(counts)
        if left <= 0:
            return min(bound, longest)
    return longest


class LoopLag:
    """Belongs to the event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.durations = Durations()
        """Of all ticks since the start."""
        self._window, self._window_before = LagWindow(), LagWindow()

    async def run(self) -> None:
        """Never returns."""
        while True:
            due = self._clock.monotonic() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            self.ticked(max(0.0, self._clock.monotonic() - due))

    def ticked(self, late_seconds: float) -> None:
        if self._window.ticks >= WINDOW_TICKS:
            self._window, self._window_before = LagWindow(), self._window
        self._window.add(late_seconds)
        self.durations.add(late_seconds)

    def document(self) -> dict[str, Any]:
        """The part of the status document."""
        windows = [self._window_before, self._window]
        return {
            "lag_p50_seconds": quantile_seconds(windows, 0.5),
            "lag_p99_seconds": quantile_seconds(windows, 0.99),
            "lag_p999_seconds": quantile_seconds(windows, 0.999),
            "lag_max_seconds": max(window.seconds_max for window in windows),
        }
