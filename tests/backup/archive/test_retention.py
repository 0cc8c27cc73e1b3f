"""What of the archived log goes: a table in tests/testdata/retention."""

from __future__ import annotations

import pytest

from replicad.backup.archive.names import LogObject
from replicad.backup.archive.retention import Base, log_to_drop
from replicad.types import DatabaseId, Epoch, HistoryHash, Position, Sequence
from tests.support.cases import Case, cases

SECOND = 1_000_000


def at(sequence: int) -> Position:
    return Position(Epoch(1), Sequence(sequence), HistoryHash(0))


LOG = [
    LogObject(
        database_id=DatabaseId(bytes(16)),
        first=Sequence(first),
        end=at(first + 9),
        commit_time_us=(first + 9) * SECOND,
        size_bytes=1,
    )
    for first in range(1, 101, 10)
]


@pytest.mark.parametrize("case", cases("retention/archived_log"), ids=str)
def test_what_of_the_archived_log_goes(case: Case) -> None:
    """Log goes up to a backup that stays, and never so far that a promise of either kind breaks."""
    backups = [] if case["backups"] == "none" else [int(text) for text in case["backups"].split(", ")]
    gone = log_to_drop(
        LOG,
        [Base(at(sequence), sequence * SECOND) for sequence in backups],
        now_us=100 * SECOND,
        keep_seconds=case.number("keep seconds"),
        keep_backups=case.number("keep backups"),
    )
    assert gone == LOG[: len(gone)]
    case.expect(f"drops 1 to {gone[-1].last}" if gone else "drops nothing")
