"""The time that a commit gets: the wall clock's, unless that jumped ahead.

Commit times never go back. A wall clock that shows next year for one write would therefore give that time
to all writes until then, and a restore by time could not tell them apart. So a wall clock that went further
ahead than the time that passed allows is not believed: commits get the time before the jump plus what passed
since, until the clock comes back or the database is opened again.

What passed is told by a clock that nobody sets and that goes on while the machine sleeps (`Clock.awake`).
"""

from __future__ import annotations

from dataclasses import dataclass

from replicad.env import Clock

DOUBTED_US = 1_000_000
"""How long a clock that is not believed goes unlooked at: it may come back at any moment."""
NEVER_US = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Judgement:
    """What holds while the wall clock shows a time from `from_us` through `through_us`."""

    from_us: int
    through_us: int
    ahead_us: int
    """How far it is ahead of what can be; 0 when it is believed."""


def judge(wall_us: int, expected_us: int, limit_us: int) -> Judgement:
    """`expected_us` is what the wall clock showed once plus the time since, `limit_us` how much further it
    may be; 0 for any."""
    if not limit_us:
        return Judgement(0, NEVER_US, 0)
    ahead_us = wall_us - expected_us
    if ahead_us <= limit_us:
        return Judgement(0, wall_us + limit_us, 0)
    return Judgement(wall_us, wall_us + DOUBTED_US, ahead_us)


@dataclass(frozen=True, slots=True)
class ClockState:
    """How the wall clock stands to the commit times; both are 0 when all is well."""

    ahead_seconds: float
    """By how much more it went ahead than time passed, at the last write; it is not believed then."""
    behind_seconds: float
    """How long commit times will stand still: until the clock reaches that of the last commit."""


class CommitClock:
    """Used under the write lock, but for `ahead_us`."""

    def __init__(self, clock: Clock, limit_seconds: float) -> None:
        self._clock = clock
        self._limit_us = int(limit_seconds * 1e6)
        self._anchor: tuple[int, float] | None = None
        """A wall time that was believed, and what `awake` was then."""
        self.ahead_us = 0

    def look(self, last_commit_us: int) -> Judgement:
        """Judges the wall clock as it is now; `last_commit_us` is the time of the last commit."""
        wall_us, awake = self._clock.wall_us(), self._clock.awake()
        if self._anchor is None and wall_us < last_commit_us:
            # It is behind what was committed, so it is wrong (a machine that starts before it has the time),
            # and its next step ahead is no reason to doubt it.
            return Judgement(0, last_commit_us - 1, 0)
        expected_us = wall_us
        if self._anchor is not None:
            anchor_us, anchor_awake = self._anchor
            expected_us = anchor_us + int((awake - anchor_awake) * 1e6)
        judged = judge(wall_us, expected_us, self._limit_us)
        if not judged.ahead_us:
            # Never back: a clock that was set back for a moment may return to where it was.
            self._anchor = (max(wall_us, expected_us), awake)
        self.ahead_us = judged.ahead_us
        return judged

    def now_us(self, last_commit_us: int) -> int:
        """The time for a commit now, in microseconds since 1970; it may be before that of the last one."""
        ahead_us = self.look(last_commit_us).ahead_us
        return self._clock.wall_us() - ahead_us

    def state(self, last_commit_us: int) -> ClockState:
        behind_us = max(0, last_commit_us - self._clock.wall_us() + self.ahead_us)
        return ClockState(ahead_seconds=self.ahead_us / 1e6, behind_seconds=behind_us / 1e6)
