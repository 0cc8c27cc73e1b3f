"""How old a replica's data may be: what it knows, from where its primary said it was.

        this replica      heartbeat, sent_us ──────────┐                 ┌──> age = now - asked + age_us
        the one above                                  └──> echo_us, ────┘
                                                            age_us: how old its own data was

This node's monotonic time and the primary's sequence numbers only: no clock of another machine is believed. A
message was sent after it was asked for, however long it was on its way; and a node in between says how long
ago it had all that there was.
"""

from __future__ import annotations

from bisect import bisect_right

from replicad.replication.options import ReplicationOptions
from replicad.replication.replica.link_state import LinkState
from replicad.replication.wire.messages import Heartbeat

MARKS_MAX = 1024
"""Even, so that the first and the last stay when every second one goes."""


class _Marks:
    """Times by sequence number; both only grow."""

    def __init__(self) -> None:
        self.sequences: list[int] = []
        self.times: list[float] = []

    def add(self, sequence: int, time: float) -> None:
        self.sequences.append(sequence)
        self.times.append(time)
        if len(self.times) > MARKS_MAX:
            self.sequences, self.times = self.sequences[::2], self.times[::2]

    def after(self, sequence: int) -> int:
        """Where the marks begin that are after it."""
        if not self.sequences or sequence >= self.sequences[-1]:
            return len(self.sequences)  # As on most reads of a replica that follows.
        return bisect_right(self.sequences, sequence)


class Freshness:
    """Owned by the event loop. Kept over breaks of the link: data gets older while nothing is heard."""

    def __init__(self) -> None:
        self._epoch: int | None = None
        self._forget()

    def _forget(self) -> None:
        self._known, self._fresh = _Marks(), _Marks()

    def follow(self, epoch: int) -> None:
        """A stream begins, of a node in that epoch: in another what was heard may be of another history."""
        if epoch != self._epoch:
            self._epoch = epoch
            self._forget()

    def heard(self, sequence: int, now: float, fresh_at: float | None = None) -> None:
        """The node above has that sequence number, durably. `fresh_at`: when the primary of all surely had
        nothing after it; None: nobody knows."""
        if self._known.after(sequence) < len(self._known.times):
            self._forget()  # It went back to an earlier state: what it said before is true no more.
        if sequence not in self._known.sequences[-1:]:
            self._known.add(sequence, now)
        if fresh_at is None:
            return
        fresh = self._fresh
        if fresh.times:
            fresh_at = max(fresh_at, fresh.times[-1])
        if sequence in fresh.sequences[-1:]:
            fresh.times[-1] = fresh_at
        else:
            fresh.add(sequence, fresh_at)

    def staleness_seconds(self, applied: int, now: float) -> float | None:
        """How long ago who has all up to `applied` surely had everything; None when that is not known."""
        after = self._fresh.after(applied)
        return now - self._fresh.times[after - 1] if after else None

    def newest_age_seconds(self, now: float) -> float | None:
        """How long ago the newest that is known of the primary of all surely was its newest; None when that
        is not known. However much is on its way to this node, it came after that."""
        return now - self._fresh.times[-1] if self._fresh.times else None

    def lag_seconds(self, applied: int, now: float) -> float | None:
        """How long it has been missing something that it knows of; 0 when it has all that it knows of."""
        after, times = self._known.after(applied), self._known.times
        if after < len(times):
            return now - times[after]
        return 0.0 if times else None


def fresh_at(heartbeat: Heartbeat, asked_at: float, now: float) -> float | None:
    """When, by this node's clock, there surely was nothing after the heartbeat's position. `asked_at`: when
    its sender was first heard of in this session, at the latest."""
    if heartbeat.age_us is None:
        return None
    if heartbeat.echo_us == 0:
        asked_at = now  # A node of an older version: how long its word was on its way is not known.
    elif heartbeat.echo_us is not None:
        asked_at = min(heartbeat.echo_us / 1e6, now)
    return asked_at - heartbeat.age_us / 1e6


HEARTBEATS = 3
"""For this many intervals what the primary said about itself counts as true."""


def lag_sequences(
    applied: int, newest: int | None, newest_age_seconds: float | None, heartbeat_seconds: float
) -> int | None:
    """How far a replica is behind the primary of all: None when it does not know the primary's newest, or
    heard it too long ago. What came with the log says nothing: much more may be on its way behind it."""
    if newest is None or newest_age_seconds is None or newest_age_seconds > HEARTBEATS * heartbeat_seconds:
        return None
    return max(0, newest - applied)


OLD_STATES = {
    LinkState.BOOTSTRAPPING: "a new copy of the primary's data is fetched; what is here is from before",
    LinkState.INSTALLING: "a new copy of the primary's data is put in place; what is here is from before",
    LinkState.CATCHING_UP: "archived log is applied; what is here is from before",
    LinkState.REWINDING: "the primary's history is another from here on; a tail is about to be cut off",
}
"""The states of the link in which the data is known to be old, and why."""


def why_stale(
    link_state: LinkState, staleness_seconds: float | None, options: ReplicationOptions
) -> str | None:
    """Why a replica's data is older than it should be, whether reads are refused for it or not; None when
    nothing says so."""
    return OLD_STATES.get(link_state) or _too_old(staleness_seconds, options)


def why_refused(
    link_state: LinkState, staleness_seconds: float | None, options: ReplicationOptions
) -> str | None:
    """The error, with its code, that a read gets; None when it is answered."""
    if options.stale_reads == "refuse" and link_state is not LinkState.STREAMING:
        return f"MASTERDOWN this replica does not follow its primary ({link_state}): reads are refused"
    old = _too_old(staleness_seconds, options)
    return None if old is None else f"STALE {old}"


def _too_old(staleness_seconds: float | None, options: ReplicationOptions) -> str | None:
    most = options.max_staleness_seconds
    if most and (staleness_seconds is None or staleness_seconds > most):
        age = "of unknown age" if staleness_seconds is None else f"{staleness_seconds:.1f} s old"
        return f"this replica's data may be {age}, and at most {most:g} s is configured"
    return None
