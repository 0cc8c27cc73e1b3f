"""Which segments are archived and which deleted, as a table of cases."""

from __future__ import annotations

import pytest

from replicad.store.wal.retention import RetentionRules, SegmentFacts, choose
from replicad.types import Sequence


def segments(*facts: tuple[int, bool, float, bool]) -> list[SegmentFacts]:
    return [SegmentFacts(Sequence(last), 100, archived, age, sealed) for last, archived, age, sealed in facts]


LIVE = (10, False, 0.0, True), (20, False, 0.0, True), (30, False, 0.0, False)
ARCHIVED = (10, True, 50.0, True), (20, True, 30.0, True), (30, False, 0.0, False)


@pytest.mark.parametrize(
    ("facts", "flushed", "held_from", "bytes_max", "seconds_max", "expected"),
    [
        (LIVE, 0, None, 1000, None, (0, 0)),
        (LIVE, 19, None, 1000, None, (1, 0)),
        (LIVE, 20, None, 1000, None, (2, 0)),
        (LIVE, 30, None, 1000, None, (2, 0)),  # a segment that still grows stays
        (LIVE, 30, None, 250, None, (1, 1)),
        (LIVE, 30, None, 0, None, (0, 2)),  # what goes needs no archiving
        (LIVE, 10, None, 0, None, (0, 1)),
        (LIVE, 30, 11, 0, None, (1, 1)),
        (ARCHIVED, 30, None, 1000, None, (0, 0)),
        (ARCHIVED, 30, None, 250, None, (0, 1)),
        (ARCHIVED, 30, None, 0, None, (0, 2)),
        (ARCHIVED, 30, 11, 0, None, (0, 1)),  # a slot or lease holds the second
        (ARCHIVED, 30, 10, 0, None, (0, 0)),
        (ARCHIVED, 30, None, 1000, 40.0, (0, 1)),
        (ARCHIVED, 30, None, 1000, 20.0, (0, 2)),
        (ARCHIVED, 30, 5, 1000, 20.0, (0, 0)),
        ((), 0, None, 0, None, (0, 0)),
    ],
)
def test_choice(
    facts: tuple[tuple[int, bool, float, bool], ...],
    flushed: int,
    held_from: int | None,
    bytes_max: int,
    seconds_max: float | None,
    expected: tuple[int, int],
) -> None:
    """Recovery's log stays live; the archive shrinks to its size and age unless somebody holds it."""
    held = None if held_from is None else Sequence(held_from)
    choice = choose(segments(*facts), RetentionRules(Sequence(flushed), held, bytes_max, seconds_max))
    assert (choice.archive, choice.delete) == expected


@pytest.mark.parametrize(
    ("facts", "held_from", "short_bytes", "expected"),
    [
        (ARCHIVED, None, 0, (0, 0)),
        (ARCHIVED, None, 1, (0, 1)),
        (ARCHIVED, None, 100, (0, 1)),
        (ARCHIVED, None, 101, (0, 2)),
        (ARCHIVED, None, 10_000, (0, 2)),  # a segment that still grows stays
        (ARCHIVED, 11, 10_000, (0, 1)),  # a slot or lease holds the second
        (LIVE, None, 1, (1, 1)),  # sealed and in tables: as good as archived
    ],
)
def test_disk_floor(
    facts: tuple[tuple[int, bool, float, bool], ...],
    held_from: int | None,
    short_bytes: int,
    expected: tuple[int, int],
) -> None:
    """While the disk is short of room the oldest log goes before its time, unless somebody holds it."""
    held = None if held_from is None else Sequence(held_from)
    rules = RetentionRules(Sequence(30), held, 1000, None, short_bytes)
    choice = choose(segments(*facts), rules)
    assert (choice.archive, choice.delete) == expected
