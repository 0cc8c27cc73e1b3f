"""Which claims of a higher epoch count, case by case."""

from __future__ import annotations

import pytest

from replicad.replication.policy.agree import History
from replicad.replication.policy.epoch_proof import EPOCH_STEP_MAX, why_unproven
from replicad.types import Epoch, EpochRecord, HistoryHash, Position, Sequence

DATABASE = b"d" * 16


def at(epoch: int, sequence: int, history_hash: int | None = None) -> Position:
    return Position(Epoch(epoch), Sequence(sequence), HistoryHash(history_hash or sequence))


def record(epoch: int, fork: Position, id: bytes = b"e") -> EpochRecord:
    return EpochRecord(Epoch(epoch), id * 16, fork)


def history(position: Position, *epochs: EpochRecord) -> History:
    return History(DATABASE, position, epochs)


ME = history(at(3, 100), record(2, at(1, 20)), record(3, at(2, 50)))
"""Its log begins at 11."""


def position_at(sequence: int) -> Position | None:
    if sequence <= 10:
        return None
    return at(1 if sequence <= 20 else 2 if sequence <= 50 else 3, sequence)


FAR = 4 + EPOCH_STEP_MAX
LAST = (1 << 32) - 1
CASES = {
    "the same epoch": (history(at(3, 999)), None),
    "a lower one": (history(at(2, 999)), None),
    "the next, from where this one is": (history(at(4, 120), record(4, at(3, 100))), None),
    "from before that": (history(at(4, 120), record(4, at(3, 70))), None),
    "from an epoch before": (history(at(4, 120), record(4, at(2, 30))), None),
    "from where the log does not tell any more": (history(at(4, 120), record(4, at(1, 5))), None),
    "from the beginning": (history(at(4, 120), record(4, at(1, 0))), None),
    "several": (history(at(5, 1), record(4, at(3, 70)), record(5, at(4, 90))), None),
    "the last, without a record": (history(at(LAST, 120)), "without its record"),
    "with another's record": (history(at(5, 120), record(4, at(3, 70))), "without its record"),
    "with a record that is not its last": (
        history(at(4, 1), record(4, at(3, 70)), record(5, at(4, 80))),
        "without its record",
    ),
    "far ahead": (history(at(FAR, 120), record(FAR, at(3, 100))), "ahead of 3"),
    "the last, with a record": (history(at(LAST, 120), record(LAST, at(3, 100))), "ahead of 3"),
    "far ahead by steps": (
        history(at(FAR, 1), record(4, at(3, 70)), record(FAR, at(4, 90))),
        None,
    ),
    "of another history": (
        history(at(4, 1), record(3, at(2, 50), b"x"), record(4, at(3, 70))),
        "epoch 3 has another id",
    ),
    "forks elsewhere": (history(at(4, 1), record(4, at(3, 70, 7))), "where this node has"),
    "forks elsewhere at the end": (history(at(4, 1), record(4, at(3, 100, 7))), "where this node has"),
    "forks in another epoch": (history(at(4, 1), record(4, at(3, 40))), "where this node has"),
    "beyond this one in an epoch that it left": (history(at(4, 1), record(4, at(2, 60))), None),
    "beyond this one": (history(at(4, 300), record(4, at(3, 200))), "beyond this node's"),
    "not said from where": (history(at(9, 300), record(9, at(8, 200))), "it is not said how epoch 8"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_an_epoch_must_prove(name: str) -> None:
    """Its record, a fork on this node's history, and steps that can be."""
    other, expected = CASES[name]
    why = why_unproven(ME, other, position_at, may_be_behind=False, asked=False)
    assert (why is None) == (expected is None), why
    assert expected is None or expected in (why or "")


def test_what_is_beyond_this_node_counts_where_it_may_be_behind() -> None:
    """A replica is, and who asked a node that it knows may be an older copy of itself; nonsense never
    counts."""
    beyond, untold = CASES["beyond this one"][0], CASES["not said from where"][0]
    assert why_unproven(ME, beyond, position_at, may_be_behind=True, asked=False) is None
    assert why_unproven(ME, beyond, position_at, may_be_behind=False, asked=True) is None
    assert why_unproven(ME, untold, position_at, may_be_behind=False, asked=True) is None
    assert why_unproven(ME, untold, position_at, may_be_behind=True, asked=False) is not None
    for name in ("the last, with a record", "the last, without a record", "of another history"):
        assert why_unproven(ME, CASES[name][0], position_at, may_be_behind=True, asked=True) is not None
