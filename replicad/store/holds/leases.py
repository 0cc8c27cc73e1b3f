"""Leases: what holds files and log while a cut is copied, who took it, and when it ends.

    taken ──► ended (closed or dropped by its holder | its time is over | it holds more than its budget)

There is no timer. A lease is judged when it is used and whenever space changes hands (retention, compaction,
`stats`), on monotonic time: one that nobody judges holds nothing that anybody wants back. In memory only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from replicad.env import Clock
from replicad.errors import ClosedError, InvalidArgument
from replicad.store.holds.held import Holds


@dataclass(slots=True, kw_only=True, eq=False, weakref_slot=True)
class Lease:
    """Taken while its holder keeps it."""

    holder: str
    taken_at: float
    seconds: float | None
    bytes_max: int | None
    held_bytes: Callable[[], int]
    """Files and log that are still there, and that the database itself no longer needs."""
    end: Callable[[str], None]
    """Lets go of all that, and is told why. Called twice, perhaps, and also at the same time."""
    ended: str | None = field(default=None)
    number: int = field(default_factory=count().__next__)
    """In the order taken."""

    def over(self, now: float) -> str | None:
        """Why it has to end now, or None."""
        if self.seconds is not None and now - self.taken_at >= self.seconds:
            return f"the cut is closed: its lease of {self.seconds:g} s is over (holder {self.holder!r})"
        if self.bytes_max is not None and (held := self.held_bytes()) > self.bytes_max:
            return (
                f"the cut is closed: it held back {held} bytes, more than the {self.bytes_max} of its lease "
                f"(holder {self.holder!r})"
            )
        return None


class Leases:
    """All leases of one open database; any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: Holds[Lease] = Holds()

    def take(
        self,
        holder: str,
        seconds: float | None,
        bytes_max: int | None,
        held_bytes: Callable[[], int],
        end: Callable[[str], None],
    ) -> Lease:
        lease = Lease(
            holder=holder,
            taken_at=self._clock.monotonic(),
            seconds=seconds,
            bytes_max=bytes_max,
            held_bytes=held_bytes,
            end=end,
        )
        self._open.add(lease)
        return lease

    def end(self, lease: Lease, why: str) -> None:
        """Ends it. Anyone may; a call that was interrupted is finished by the next one."""
        if lease.ended is None:
            lease.ended = why
        if lease in self._open:
            lease.end(lease.ended)
            self._open.discard(lease)

    def end_all(self, why: str) -> None:
        for lease in self._listed():
            self.end(lease, why)

    def check(self, lease: Lease) -> None:
        """Raises ClosedError, which says why, when it has ended or must end now."""
        why = lease.ended or lease.over(self._clock.monotonic())
        if why is not None:
            self.end(lease, why)
            raise ClosedError(why)

    def expire(self) -> None:
        """Ends those that are over. Takes locks of the store: the caller holds none."""
        now = self._clock.monotonic()
        for lease in self._listed():
            if (why := lease.over(now)) is not None:
                self.end(lease, why)

    def describe(self) -> list[dict[str, Any]]:
        """Plain values for `stats`, oldest first."""
        now = self._clock.monotonic()
        return [
            {
                "holder": lease.holder,
                "age_seconds": now - lease.taken_at,
                "ends_in_seconds": None if lease.seconds is None else lease.taken_at + lease.seconds - now,
                "held_bytes": lease.held_bytes(),
                "bytes_max": lease.bytes_max,
            }
            for lease in self._listed()
        ]

    def _listed(self) -> list[Lease]:
        return sorted(self._open.items(), key=lambda lease: lease.number)


def check_terms(seconds: float | None, bytes_max: int | None) -> None:
    """Raises InvalidArgument for what no lease can have."""
    if seconds is not None and not seconds > 0:
        raise InvalidArgument(f"seconds of a lease must be more than 0, not {seconds!r}")
    if bytes_max is not None and bytes_max < 0:
        raise InvalidArgument(f"bytes_max of a lease must not be negative, not {bytes_max!r}")
