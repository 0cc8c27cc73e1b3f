"""The hybrid clock of a linked primary: one for the batches that Python stamps, and those of the kernel."""

from __future__ import annotations

from collections.abc import Callable

from replicad import kernels
from replicad.replication.links.stamps import HybridClock


class LinkClock(HybridClock):
    def __init__(self, group: kernels.WriteGroup, wall_us: Callable[[], int]) -> None:
        self._group = group
        self._wall_us = wall_us

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
        return self.next(self._wall_us())

    def look(self) -> None:
        """Has the kernel know what time it is: before commands that it executes."""
        self._group.link_now_us = self._wall_us()
