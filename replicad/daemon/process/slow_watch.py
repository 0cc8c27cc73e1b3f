"""Logs syncs of the log that took long, as etcd does: a slow disk shows there before clients complain."""

from __future__ import annotations

from bisect import bisect_right

from replicad.env.durations import BOUNDS, Durations
from replicad.env.events import get_logger

log = get_logger("replicad.daemon")

SLOW_SECONDS = 1.0
"""etcd's limit for its own log; one of `BOUNDS`."""
_FIRST_SLOW = bisect_right(BOUNDS, SLOW_SECONDS)


class SlowWatch:
    def __init__(self) -> None:
        self._seen: tuple[int, int] = (0, 0)
        """Which counts were looked at, and how many of these were slow."""

    def look(self, syncs: Durations) -> None:
        """Called about once a second."""
        slow = sum(syncs.counts[_FIRST_SLOW:])
        # Another store counts from 0.
        before = self._seen[1] if self._seen[0] == id(syncs) else 0
        self._seen = id(syncs), slow
        if slow > before:
            log.warning("store.sync_slow", syncs=slow - before, longer_than_seconds=SLOW_SECONDS)
