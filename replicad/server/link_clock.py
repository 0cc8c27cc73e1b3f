"""The hybrid clock of a linked primary: one for the batches that Python stamps, and those of the kernel."""

from __future__ import annotations

from replicad import kernels
from replicad.env import Clock
from replicad.replication.links.stamps import HybridClock
from replicad.store.commit_clock import CommitClock


class LinkClock(HybridClock):
    """A wall clock that jumps ahead is not believed, as for commit times: stamps of one wrong minute would be
    ahead of all others until that time comes."""

    def __init__(self, group: kernels.WriteGroup, clock: Clock, jump_seconds_max: float) -> None:
        self._group = group
        self._clock = clock
        self._jumps = CommitClock(clock, jump_seconds_max)

    def now_us(self) -> int:
        """The wall clock, less what it jumped ahead."""
        return self._clock.wall_us() - self._jumps.look(0).ahead_us

    @property
    def last_us(self) -> int:
        return self._group.link_clock_us

    @last_us.setter
    def last_us(self, time_us: int) -> None:
        self._group.link_clock_us = time_us

    @property
    def seen_us(self) -> int:
        """All writes of other origins with this time or an earlier one are here."""
        return self._group.link_seen_us

    @seen_us.setter
    def seen_us(self, time_us: int) -> None:
        self._group.link_seen_us = time_us

    def tick(self) -> int:
        """The time of a new stamp."""
        return self.next(self.now_us())

    def look(self) -> None:
        """Has the kernel know what time it is: before commands that it executes."""
        self._group.link_now_us = self.now_us()
