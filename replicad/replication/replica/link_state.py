"""The states of a replica's link to its primary, and every move between them.

       ┌───────────── a session ended: backoff with jitter ──────────────────────┐
       v                                                                         │
    waiting ─> connecting ─> agreeing ─┬─> streaming ────────────────────────────┤
                   ^                   ├─> bootstrapping ─> installing ─┐        │
                   │                   ├─> restoring ─────────^         │        │
                   │                   ├─> catching up ───┐             │        │
                   │                   ├─> rewinding ─┐   │             │        │
                   └── at once ────────│──────────────┴───┴─────────────┘        │
                                       └─> stopped: a person must decide ────────┘

A link that is stopped asks again after a long while. It shows `stopped` meanwhile, and goes to what the two
nodes agreed on, or to `waiting` after another error. `catching up` goes on to `bootstrapping` when the
archive had nothing that helps, and `restoring` to `connecting` when no backup fits. Any state ends in `down`
when the node lets go of its link. `MOVES` has every move.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from replicad.replication.policy.roles import HighWatermark


class LinkState(StrEnum):
    """The values are what the status shows."""

    WAITING = "waiting"
    """For the next attempt."""
    CONNECTING = "connecting"
    AGREEING = "agreeing"
    """Both sides compare their histories."""
    STREAMING = "streaming"
    BOOTSTRAPPING = "bootstrapping"
    """A copy of the primary's data is fetched; what is here stays until that is verified."""
    RESTORING = "restoring"
    """A backup, and the archived log after it, are put together: there is no data yet."""
    INSTALLING = "installing"
    """The copy takes the place of the data."""
    CATCHING_UP = "catching up"
    """Archived log is applied before a copy is fetched for want of log."""
    REWINDING = "rewinding"
    """The tail that the primary's history does not have is saved and cut off."""
    STOPPED = "stopped"
    DOWN = "down"

    @property
    def is_linked(self) -> bool:
        """There is an agreement with a primary, and it is being carried out."""
        return self in _LINKED

    @property
    def changes_data(self) -> bool:
        """The data of this node is being replaced or cut, or is about to be."""
        return self in _CHANGING


_LINKED = frozenset({LinkState.STREAMING, LinkState.BOOTSTRAPPING, LinkState.INSTALLING})
_CHANGING = frozenset(
    {LinkState.BOOTSTRAPPING, LinkState.RESTORING, LinkState.INSTALLING, LinkState.REWINDING}
)
_AGREED = frozenset(
    {LinkState.STREAMING, LinkState.BOOTSTRAPPING, LinkState.CATCHING_UP, LinkState.REWINDING}
)
_ENDED = frozenset({LinkState.WAITING, LinkState.STOPPED, LinkState.DOWN})
"""What any session may end in."""

MOVES: dict[LinkState, frozenset[LinkState]] = {
    LinkState.WAITING: _ENDED | {LinkState.CONNECTING},
    LinkState.CONNECTING: _ENDED | {LinkState.CONNECTING, LinkState.AGREEING},
    LinkState.AGREEING: _ENDED | _AGREED | {LinkState.RESTORING},
    LinkState.STREAMING: _ENDED | {LinkState.CONNECTING},
    LinkState.BOOTSTRAPPING: _ENDED | {LinkState.INSTALLING},
    LinkState.RESTORING: _ENDED | {LinkState.CONNECTING, LinkState.INSTALLING},
    LinkState.INSTALLING: _ENDED | {LinkState.CONNECTING},
    LinkState.CATCHING_UP: _ENDED | {LinkState.CONNECTING, LinkState.BOOTSTRAPPING},
    LinkState.REWINDING: _ENDED | {LinkState.CONNECTING},
    LinkState.STOPPED: _ENDED | _AGREED | {LinkState.RESTORING},
    LinkState.DOWN: frozenset({LinkState.DOWN}),
}


@dataclass(slots=True)
class Link:
    """What the status shows of the link; times are of the monotonic clock."""

    heartbeat_seconds: float
    """At which both sides send: the primary's interval, once that is known."""
    state: LinkState = LinkState.WAITING
    waits_for: str = "the start"
    since: float = 0.0
    """When the state was entered."""
    attempts: int = 0
    """Connection attempts since a session last made progress."""
    last_error: str | None = None
    stopped_code: str | None = None
    primary_sequence: int | None = None
    primary_clock_ahead_seconds: float | None = None
    """By how much the primary's wall clock was ahead of ours when its last heartbeat came."""
    primary_node: bytes | None = None
    high_watermark: HighWatermark | None = None
    """How far the primary is, once this replica follows its history."""

    def move(self, state: LinkState, waits_for: str, now: float) -> None:
        assert state in MOVES[self.state], f"a link that is {self.state} cannot become {state}"
        if state is not self.state:
            self.since = now
        self.state, self.waits_for = state, waits_for

    def forget_troubles(self) -> None:
        """For a link that came to an agreement: what went wrong before it is not shown any more. Its attempts
        count on until something was received: an agreement that leads nowhere is not asked for at once."""
        self.last_error = None
        self.stopped_code = None


def is_progress(began_at: int, received: int, primary: int) -> bool:
    """Whether a stream that began at that sequence number has brought something, or has nothing to bring."""
    return received > began_at or received >= primary
