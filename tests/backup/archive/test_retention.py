"""What of the archived log goes, as a table of cases."""

from __future__ import annotations

import pytest

from replicad.backup.archive.names import LogObject
from replicad.backup.archive.retention import Base, log_to_drop
from replicad.types import DatabaseId, Epoch, HistoryHash, Position, Sequence

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


@pytest.mark.parametrize(
    ("bases", "keep_seconds", "keep_backups", "first_kept"),
    [
        ([], 1, 1, 1),  # without a backup everything may still be wanted
        ([20, 50, 80], None, None, 1),
        ([20, 50, 80], None, 1, 81),
        ([20, 50, 80], None, 2, 51),
        ([20, 50, 80], None, 9, 21),
        ([20, 50, 80], None, 0, 81),  # one backup stays reachable in any case
        ([20, 55, 80], None, 2, 51),  # the object that holds the log after the backup stays
        ([20, 50, 80], 10, None, 81),  # now is 100: everything since 90 comes from the backup at 80
        ([20, 50, 80], 20, None, 81),
        ([20, 50, 80], 21, None, 51),
        ([20, 50, 80], 95, None, 21),  # nothing older can be reached, and what is left stays
        ([20, 50, 80], 21, 3, 21),
        ([20, 50, 80], 95, 1, 21),
    ],
)
def test_retention(
    bases: list[int], keep_seconds: float | None, keep_backups: int | None, first_kept: int
) -> None:
    """Log goes up to a backup that stays, and never so far that a promise of either kind breaks."""
    gone = log_to_drop(
        LOG,
        [Base(at(sequence), sequence * SECOND) for sequence in bases],
        now_us=100 * SECOND,
        keep_seconds=keep_seconds,
        keep_backups=keep_backups,
    )
    assert next(each for each in LOG if each not in gone).first == first_kept
    assert gone == LOG[: len(gone)]
