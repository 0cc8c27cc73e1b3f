"""What a position token means at a node: its batch is there, not yet, or lost. Pure.

A token names one exact history, so a write that a failover threw away is never taken for another one that got
its sequence number.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from replicad.types import EpochRecord, Position


class TokenState(Enum):
    THERE = "there"
    NOT_YET = "not yet"
    LOST = "lost"


def judge(
    token: Position, newest: Position, epochs: Sequence[EpochRecord], found: Position | None
) -> TokenState:
    """`newest` is what readers see, `found` the node's position at the token's sequence number, as far as its
    log tells. Where the log no longer does, the epoch that the number belongs to decides."""
    if token.sequence > newest.sequence:
        return (
            TokenState.LOST if token.epoch < _epoch_of(token.sequence, epochs, newest) else TokenState.NOT_YET
        )
    if found is not None:
        return TokenState.THERE if found == token else TokenState.LOST
    return TokenState.THERE if _epoch_of(token.sequence, epochs, newest) == token.epoch else TokenState.LOST


def _epoch_of(sequence: int, epochs: Sequence[EpochRecord], newest: Position) -> int:
    """The epoch whose writer gave this number, in the node's history."""
    if not epochs:
        return newest.epoch
    earlier = [record for record in epochs if record.fork.sequence < sequence]
    if not earlier:
        return min(epochs, key=lambda record: record.epoch).fork.epoch
    return max(earlier, key=lambda record: record.epoch).epoch
