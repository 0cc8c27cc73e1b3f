"""When a copy may replace data that is not to be trusted."""

from __future__ import annotations

import pytest

from replicad.replication.policy.agree import History
from replicad.replication.policy.repair import may_repair
from replicad.types import DatabaseId, Epoch, HistoryHash, Position, Sequence


def history(epoch: int, sequence: int, database: bytes = b"d") -> History:
    return History(DatabaseId(database * 16), Position(Epoch(epoch), Sequence(sequence), HistoryHash(1)), ())


@pytest.mark.parametrize(
    ("replica", "primary", "refusal"),
    [
        (history(1, 5), history(1, 5), None),
        (history(1, 5), history(1, 9), None),
        (history(1, 5), history(2, 9), None),
        (history(1, 5), history(1, 9, b"e"), "another database"),
        (history(2, 5), history(1, 9), "of epoch 1"),
        (history(1, 5), history(1, 4), "ends at 4"),
        (history(1, 5), history(1, 0), "ends at 0"),
    ],
)
def test_only_a_copy_that_holds_at_least_as_much(
    replica: History, primary: History, refusal: str | None
) -> None:
    """Another database, an older epoch and an older or empty primary never replace anything."""
    reason = may_repair(replica, primary)
    assert reason is None if refusal is None else refusal in (reason or "")
