"""The same event again and again: after a burst it is written once in a while, with how often it was not.

Who connects to a port can make a node log a line, and a disk that is full makes it log many: neither fills
a disk with them.
"""

from __future__ import annotations

BURST = 50
"""Lines of one event at once; all events have budgets of their own."""
PER_SECOND = 0.5
SELDOM = frozenset({"state.not_saved", "state.not_shown"})
"""A node without room meets these once a second, and `store.no_room` has said what to do."""
SELDOM_SECONDS = 600.0
EVENTS_MAX = 1024
"""Names of events come from our code. A library's are not trusted to be few."""
LIMITED = frozenset({"debug", "info", "warning"})
"""What is more important is always written."""


class Repeats:
    """A token bucket for each event. Any thread may ask; two at once may both be let through."""

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, float, int]] = {}
        """By event: tokens, since when, and how many lines were left out since the last that was written."""

    def admit(self, level: str, event: str, now: float) -> int | None:
        """How many lines of this event were left out before this one; None: this one is, too."""
        if level not in LIMITED:
            return 0
        burst, per_second = (1.0, 1 / SELDOM_SECONDS) if event in SELDOM else (float(BURST), PER_SECOND)
        tokens, since, left_out = self._left.get(event, (burst, now, 0))
        tokens = min(burst, tokens + (now - since) * per_second)
        if tokens < 1.0:
            self._left[event] = tokens, now, left_out + 1
            return None
        if len(self._left) >= EVENTS_MAX and event not in self._left:
            self._left.clear()
        self._left[event] = tokens - 1.0, now, 0
        return left_out
