"""Heartbeats carry positions: another history at the peer is noticed at once, not at the next join.

A heartbeat names the peer's durable position. Frames and heartbeats come in order, so a replica is never
beyond what its primary said; what it has not applied yet is kept and compared when the frames pass it.
"""

from __future__ import annotations

from replicad import kernels
from replicad.errors import DivergedError
from replicad.types import Epoch, HistoryHash, Position, Sequence


def check_same(theirs: Position, mine: Position | None, *, peer: str) -> None:
    """Raises DivergedError unless both are equal. None, which the log no longer knows, says nothing."""
    if mine is not None and mine != theirs:
        raise DivergedError(f"the {peer} says it is at {theirs} where this node is at {mine}")


class HistoryCheck:
    """A replica's: what the primary said, until the frames that lead there are applied."""

    def __init__(self) -> None:
        self._awaited: Position | None = None

    def heard(self, theirs: Position, applied: Position) -> None:
        """Raises DivergedError when the primary has another history at this very sequence number."""
        if theirs.sequence == applied.sequence:
            check_same(theirs, applied, peer="primary")
        elif theirs.sequence > applied.sequence and self._awaited is None:
            self._awaited = theirs

    def applied(self, frames: bytes, after: Position) -> None:
        """After these frames; raises DivergedError when they lead elsewhere than the primary said."""
        awaited = self._awaited
        if awaited is None or after.sequence < awaited.sequence:
            return
        self._awaited = None
        check_same(awaited, _position_in(frames, awaited.sequence), peer="primary")


def _position_in(frames: bytes, sequence: Sequence) -> Position | None:
    """The position after the frame that holds `sequence`; None when none of these does."""
    for epoch, first, operations, _, history_hash, _, _ in kernels.list_frames(frames):
        last = first + max(1, operations) - 1
        if first <= sequence <= last:
            return Position(Epoch(epoch), Sequence(last), HistoryHash(history_hash))
    return None
