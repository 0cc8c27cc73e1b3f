"""What a position token means at a node, as a table; histories with a failover in them."""

from __future__ import annotations

import pytest

from replicad.server.tokens import TokenState, judge
from replicad.types import Epoch, EpochRecord, HistoryHash, Position, Sequence


def at(epoch: int, sequence: int, history_hash: int = 7) -> Position:
    return Position(Epoch(epoch), Sequence(sequence), HistoryHash(history_hash))


FIRST = (EpochRecord(Epoch(1), b"1" * 16, at(0, 0)),)
FORKED = (*FIRST, EpochRecord(Epoch(2), b"2" * 16, at(1, 100)))
"""Epoch 2 began after sequence number 100 of epoch 1."""


@pytest.mark.parametrize(
    ("token", "newest", "epochs", "found", "expected"),
    [
        (at(1, 50), at(1, 90), FIRST, at(1, 50), TokenState.THERE),
        (at(1, 95), at(1, 90), FIRST, None, TokenState.NOT_YET),
        (at(1, 50), at(1, 90), FIRST, at(1, 50, 8), TokenState.LOST),
        (at(1, 50), at(1, 90), FIRST, None, TokenState.THERE),  # its log is gone, its epoch is right
        (at(1, 50), at(1, 90), (), None, TokenState.THERE),
        # After a failover: what epoch 1 wrote up to the fork is there, what it wrote beyond is lost.
        (at(1, 100), at(2, 300), FORKED, None, TokenState.THERE),
        (at(1, 101), at(2, 300), FORKED, None, TokenState.LOST),
        (at(1, 400), at(2, 300), FORKED, None, TokenState.LOST),
        (at(1, 101), at(2, 300), FORKED, at(2, 101), TokenState.LOST),
        (at(2, 101), at(2, 300), FORKED, at(2, 101), TokenState.THERE),
        (at(2, 101), at(2, 300), FORKED, None, TokenState.THERE),
        (at(2, 301), at(2, 300), FORKED, None, TokenState.NOT_YET),
        # What is not visible yet, over a change of epoch: each number belongs to its own.
        (at(1, 90), at(2, 80), FORKED, None, TokenState.NOT_YET),
        (at(1, 101), at(2, 80), FORKED, None, TokenState.LOST),
        # A replica that has not heard of the new epoch yet.
        (at(2, 150), at(1, 120), FIRST, None, TokenState.NOT_YET),
        (at(2, 110), at(1, 120), FIRST, at(1, 110), TokenState.LOST),
    ],
)
def test_a_token_is_there_or_not_yet_or_lost(
    token: Position,
    newest: Position,
    epochs: tuple[EpochRecord, ...],
    found: Position | None,
    expected: TokenState,
) -> None:
    """There, not yet, or lost: the hash decides, and where the log is gone the epoch."""
    assert judge(token, newest, epochs, found) is expected
