"""How old a replica's data may be: what it knows, from when it heard where its primary was.

Monotonic time and the primary's sequence numbers only: no clock of another machine is believed.
"""

from __future__ import annotations

from collections import deque

from replicad.replication.options import ReplicationOptions

MARKS_MAX = 1024


class Freshness:
    """Owned by the event loop. Kept over breaks of the link: data gets older while nothing is heard."""

    def __init__(self) -> None:
        self._heard: deque[tuple[int, float]] = deque()
        self._fresh_at: float | None = None

    def heard(self, primary_sequence: int, now: float) -> None:
        """The primary was at that sequence number, durably, not before this message was sent."""
        if self._heard and primary_sequence <= self._heard[-1][0]:
            self._heard[-1] = (self._heard[-1][0], now)
            return
        self._heard.append((primary_sequence, now))
        if len(self._heard) > MARKS_MAX:
            self._heard = deque(mark for at, mark in enumerate(self._heard) if at % 2 == 0)

    def staleness_seconds(self, applied: int, now: float) -> float | None:
        """How long ago this replica surely had everything; None when it never had, since it started."""
        while self._heard and self._heard[0][0] <= applied:
            self._fresh_at = self._heard[0][1]
            if len(self._heard) == 1:
                break
            self._heard.popleft()
        return None if self._fresh_at is None else now - self._fresh_at

    def lag_seconds(self, applied: int, now: float) -> float | None:
        """How long it has been missing something that it knows of; 0 when it has all that it knows of."""
        for sequence, at in self._heard:
            if sequence > applied:
                return now - at
        return 0.0 if self._heard else None


OLD_STATES = {
    "bootstrapping": "a new copy of the primary's data is fetched; what is here is from before",
    "installing": "a new copy of the primary's data is put in place; what is here is from before",
    "catching up": "archived log is applied; what is here is from before",
    "rewinding": "the primary's history is another from here on; a tail is about to be cut off",
}
"""The states of the link in which the data is known to be old, and why."""


def why_stale(link_state: str, staleness_seconds: float | None, options: ReplicationOptions) -> str | None:
    """Why a replica's data is older than it should be, whether reads are refused for it or not; None when
    nothing says so."""
    return OLD_STATES.get(link_state) or _too_old(staleness_seconds, options)


def why_refused(link_state: str, staleness_seconds: float | None, options: ReplicationOptions) -> str | None:
    """The error, with its code, that a read gets; None when it is answered."""
    if options.stale_reads == "refuse" and link_state != "streaming":
        return f"MASTERDOWN this replica does not follow its primary ({link_state}): reads are refused"
    old = _too_old(staleness_seconds, options)
    return None if old is None else f"STALE {old}"


def _too_old(staleness_seconds: float | None, options: ReplicationOptions) -> str | None:
    most = options.max_staleness_seconds
    if most and (staleness_seconds is None or staleness_seconds > most):
        age = "of unknown age" if staleness_seconds is None else f"{staleness_seconds:.1f} s old"
        return f"this replica's data may be {age}, and at most {most:g} s is configured"
    return None
