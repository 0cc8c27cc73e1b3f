"""Logs when the wall clock cannot be used to stamp commits, and when it can again."""

from __future__ import annotations

from typing import Literal

from replicad.env.events import get_logger
from replicad.store.commit_clock import ClockState

log = get_logger("replicad.daemon")

Finding = Literal["right", "ahead", "behind"]


def finding(state: ClockState, limit_seconds: float) -> Finding:
    """A clock that is behind by less than the limit is not reported: commit times stand still that long."""
    if state.ahead_seconds:
        return "ahead"
    return "behind" if state.behind_seconds > limit_seconds > 0 else "right"


class ClockWatch:
    def __init__(self) -> None:
        self._last: Finding = "right"

    def look(self, state: ClockState, limit_seconds: float) -> None:
        """Called about once a second while this node takes writes."""
        # Reported once, not every second: an operator can do nothing else until it changes.
        found = finding(state, limit_seconds)
        if found == self._last:
            return
        self._last = found

        if found == "ahead":
            log.warning(
                "clock.jumped_ahead",
                seconds=round(state.ahead_seconds, 3),
                reason="commits get the time before the jump plus what passed since; restart the node if the "
                "clock is right now",
            )
        elif found == "behind":
            log.warning(
                "clock.behind",
                seconds=round(state.behind_seconds, 3),
                reason="the last commit has a time in the future: all commits until then get that same time, "
                "and a restore by time cannot tell them apart",
            )
        else:
            log.info("clock.right_again")
