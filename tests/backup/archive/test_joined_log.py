"""Which objects make up the log between two positions, as a table of cases."""

from __future__ import annotations

import pytest

from replicad.backup.archive.joined_log import is_on_line, limit_of, line_from
from replicad.backup.archive.names import LogObject, objects_of, parse_object
from replicad.types import DatabaseId, Epoch, HistoryHash, Position, Sequence

DATABASE = DatabaseId(bytes(range(16)))


def log_object(epoch: int, first: int, last: int) -> LogObject:
    return LogObject(
        database_id=DATABASE,
        first=Sequence(first),
        end=Position(Epoch(epoch), Sequence(last), HistoryHash(last * 7)),
        commit_time_us=last * 1000,
        size_bytes=100,
    )


def at(epoch: int, sequence: int) -> Position:
    return Position(Epoch(epoch), Sequence(sequence), HistoryHash(0))


ONE = ((1, 1, 10), (1, 11, 20), (1, 21, 30))
FAILED_OVER = ((1, 1, 10), (1, 11, 20), (2, 16, 30))


@pytest.mark.parametrize(
    ("objects", "forks", "start", "goal", "pieces", "gaps"),
    [
        (ONE, {}, (1, 0), None, [(0, 10), (10, 20), (20, 30)], []),
        (ONE, {}, (1, 10), 20, [(10, 20)], []),
        (ONE, {}, (1, 12), 25, [(12, 20), (20, 25)], []),
        (ONE, {}, (1, 30), None, [], []),
        (ONE, {}, (1, 30), 30, [], []),
        (ONE, {}, (1, 12), 31, [(12, 20), (20, 30)], [(31, None)]),
        ((ONE[0], ONE[2]), {}, (1, 0), None, [(0, 10)], [(11, 20)]),
        ((ONE[0], ONE[2]), {}, (1, 0), 15, [(0, 10)], [(11, 20)]),
        (ONE[1:], {}, (1, 5), None, [], [(6, 10)]),
        ((), {}, (1, 5), None, [], []),
        # A large object beside the small ones that it replaced, and a second archiver's pieces.
        ((*ONE, (1, 1, 30)), {}, (1, 0), None, [(0, 30)], []),
        ((*ONE, (1, 5, 24)), {}, (1, 0), None, [(0, 10), (10, 24), (24, 30)], []),
        # What the old primary wrote beyond the fork is no part of the line.
        (FAILED_OVER, {2: 15}, (1, 0), None, [(0, 10), (10, 15), (15, 30)], []),
        (FAILED_OVER, {2: 15}, (1, 0), 18, [(0, 10), (10, 15), (15, 18)], []),
        (FAILED_OVER, {2: 15}, (2, 20), None, [(20, 30)], []),
        ((*FAILED_OVER, (3, 13, 40)), {2: 15, 3: 12}, (1, 0), None, [(0, 10), (10, 12), (12, 40)], []),
        (((1, 1, 10), (2, 16, 30)), {2: 15}, (1, 0), None, [(0, 10)], [(11, 15)]),
    ],
)
def test_objects_join_into_one_line_and_what_is_missing_is_named(
    objects: tuple[tuple[int, int, int], ...],
    forks: dict[int, int],
    start: tuple[int, int],
    goal: int | None,
    pieces: list[tuple[int, int]],
    gaps: list[tuple[int, int | None]],
) -> None:
    """Objects join into one line through the newest epoch, and what is missing is named."""
    line = line_from(
        [log_object(*each) for each in objects],
        {Epoch(epoch): Sequence(fork) for epoch, fork in forks.items()},
        at(*start),
        None if goal is None else Sequence(goal),
    )
    assert [(piece.after, piece.through) for piece in line.pieces] == pieces
    assert [(gap.first, gap.last) for gap in line.gaps] == gaps


def test_an_epoch_ends_where_the_earliest_later_one_begins() -> None:
    """An epoch ends for the line where the earliest later epoch begins."""
    forks = {Epoch(2): Sequence(15), Epoch(3): Sequence(12), Epoch(5): Sequence(90)}
    assert [limit_of(Epoch(epoch), forks) for epoch in range(1, 6)] == [12, 12, 90, 90, None]
    assert is_on_line(at(1, 12), forks)
    assert not is_on_line(at(2, 20), forks)
    assert is_on_line(at(7, 1000), forks)


def test_a_name_of_a_log_object_says_all_that_planning_needs() -> None:
    """A name says all that planning needs, and only names of this very form are log objects."""
    one = log_object(3, 17, 40)
    assert parse_object(one.name, 100) == one
    assert parse_object(one.name.replace(".log", ".tmp"), 1) is None
    assert parse_object(f"meta/{one.name}", 1) is None
    assert objects_of({one.name: 100, "log/x": 1, log_object(1, 1, 9).name: 100})[1] == one
