"""What to compact next, as a table of cases."""

from __future__ import annotations

import pytest

from replicad.store.compaction import picker
from replicad.store.compaction.picker import (
    LevelMerge,
    Shape,
    TableMove,
    choose,
    debt_bytes,
    merged_bytes,
    most_urgent,
    overlapping,
    rewrites,
)
from replicad.store.table.meta import LEVELS, TableMeta
from replicad.types import FamilyId, FileNumber, Sequence

SHAPE = Shape(level0_tables=2, level_base_bytes=100, multiplier=10)


def table(number: int, level: int, smallest: str, largest: str, size: int = 60) -> TableMeta:
    return TableMeta(
        number=FileNumber(number),
        table_id=bytes(16),
        family=FamilyId(0),
        level=level,
        size_bytes=size,
        sha256=bytes(32),
        smallest=smallest.encode(),
        largest=largest.encode(),
        first_sequence=Sequence(1),
        last_sequence=Sequence(number),
        entries=1,
        deletions=0,
        raw_bytes=size,
    )


def levels_of(*tables: TableMeta) -> list[list[TableMeta]]:
    levels: list[list[TableMeta]] = [[] for _ in range(LEVELS)]
    for meta in tables:
        levels[meta.level].append(meta)
    return levels


def numbers(metas: tuple[TableMeta, ...]) -> list[int]:
    return [meta.number for meta in metas]


def test_nothing_to_do() -> None:
    """Levels within their targets are left alone."""
    assert choose(levels_of(), SHAPE) is None
    assert choose(levels_of(table(1, 0, "a", "b"), table(2, 1, "a", "z")), SHAPE) is None


def test_level0_is_taken_whole() -> None:
    """Level 0 goes down whole, with every table of level 1 that it overlaps."""
    levels = levels_of(
        table(5, 0, "c", "f"),
        table(4, 0, "d", "k"),
        table(1, 1, "a", "b", 10),
        table(2, 1, "e", "g", 10),
        table(3, 1, "l", "m", 10),
    )
    choice = choose(levels, SHAPE)
    assert isinstance(choice, LevelMerge)
    assert (choice.level, choice.output_level) == (0, 1)
    assert numbers(choice.inputs) == [5, 4] and numbers(choice.below) == [2]
    assert choice.bottom
    assert merged_bytes(choice) == 60 + 60 + 10


def test_level0_is_never_moved() -> None:
    """Its tables are merged with each other even where they overlap nothing below."""
    choice = choose(levels_of(table(5, 0, "c", "f"), table(4, 0, "d", "k")), SHAPE)
    assert isinstance(choice, LevelMerge)
    assert numbers(choice.inputs) == [5, 4] and choice.below == ()


def test_deletions_stay_above_older_data() -> None:
    """Where a deeper level overlaps, deletions must be kept."""
    levels = levels_of(table(5, 0, "c", "f"), table(4, 0, "d", "k"), table(1, 2, "a", "e"))
    choice = choose(levels, SHAPE)
    assert isinstance(choice, LevelMerge) and not choice.bottom


def test_the_table_with_least_below_it_goes_down() -> None:
    """Within a level: what rewrites least of the next one for its own bytes, the first of equals."""
    cases = [
        # Nothing below the second: it only moves.
        (["a", "c"], ["d", "f"], [("b", 60)], 2, True),
        # Both over one table of the same size.
        (["a", "c"], ["d", "f"], [("b", 60), ("e", 60)], 1, False),
        # More bytes under the first.
        (["a", "c"], ["d", "f"], [("b", 90), ("e", 60)], 2, False),
    ]
    for first, second, below, expected, moves in cases:
        tables = [table(10 + n, 2, key, key, size) for n, (key, size) in enumerate(below)]
        levels = levels_of(table(1, 1, *first), table(2, 1, *second), *tables)
        choice = choose(levels, SHAPE)
        if moves:
            assert isinstance(choice, TableMove) and choice.output_level == 2
            assert choice.table.number == expected and merged_bytes(choice) == 0
        else:
            assert isinstance(choice, LevelMerge) and numbers(choice.inputs) == [expected]
            assert choice.below


def test_a_greater_table_pays_for_more_overlap() -> None:
    """What counts is the bytes below for each byte that gets deeper."""
    levels = levels_of(
        table(1, 1, "a", "c", 40),
        table(2, 1, "d", "f", 90),
        table(3, 2, "b", "b", 60),
        table(4, 2, "e", "e", 90),
    )
    choice = choose(levels, SHAPE)
    assert isinstance(choice, LevelMerge)
    assert numbers(choice.inputs) == [2] and numbers(choice.below) == [4]


def test_most_urgent_level_first() -> None:
    """The level that is most over its target goes first."""
    deep = [table(number, 2, f"{number:03}", f"{number:03}", 900) for number in range(10, 13)]
    levels = levels_of(table(1, 1, "0", "9", 110), *deep)
    choice = choose(levels, SHAPE)
    assert isinstance(choice, TableMove) and (choice.table.level, choice.output_level) == (2, 3)


def test_level0_waits_for_the_levels_below() -> None:
    """It merges with all of level 1, so that goes down first, until level 0 has three times its tables."""
    over = table(1, 1, "a", "z", 110)
    for count, expected in ((1, 1), (2, 1), (5, 1), (6, 0), (9, 0)):
        level0 = [table(10 + number, 0, "a", "z") for number in range(count)]
        choice = choose(levels_of(over, *level0), SHAPE)
        level = choice.table.level if isinstance(choice, TableMove) else choice.level
        assert level == expected


def test_overlap_is_inclusive() -> None:
    """Tables that share only a boundary key overlap."""
    tables = [table(1, 1, "a", "c"), table(2, 1, "c", "e"), table(3, 1, "f", "g")]
    assert numbers(overlapping(tables, b"c", b"c")) == [1, 2]
    assert numbers(overlapping(tables, b"e\x00", b"e\xff")) == []


def test_debt() -> None:
    """Debt counts what is above the targets."""
    assert debt_bytes(levels_of(table(1, 0, "a", "b", 70)), SHAPE) == 0
    levels = levels_of(table(1, 0, "a", "b", 70), table(2, 0, "a", "b", 70), table(3, 1, "a", "b", 130))
    assert debt_bytes(levels, SHAPE) == 140 + 30


def test_the_most_urgent_family_comes_first() -> None:
    """The family that is most over a target, the lowest id of equals, and none when none is over."""
    idle = levels_of(table(1, 0, "a", "b"))
    full = levels_of(table(2, 0, "a", "b"), table(3, 0, "a", "b"))
    fuller = levels_of(*(table(number, 0, "a", "b") for number in range(4, 7)))
    assert most_urgent({}, SHAPE) is None
    assert most_urgent({FamilyId(0): idle, FamilyId(4): idle}, SHAPE) is None
    assert most_urgent({FamilyId(0): idle, FamilyId(4): full}, SHAPE) == 4
    assert most_urgent({FamilyId(2): full, FamilyId(4): full}, SHAPE) == 2
    assert most_urgent({FamilyId(2): full, FamilyId(4): fuller}, SHAPE) == 4


def test_tables_that_can_shrink_are_merged_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neighbours go together, a few at a time; no merge spans a table that stays."""
    monkeypatch.setattr(picker, "REWRITTEN_TOGETHER", 2)
    tables = [table(number, 3, f"{number}", f"{number}") for number in range(1, 8)]
    choices = rewrites(tables, 3, lambda meta: meta.number != 4)
    assert [numbers(choice.tables) for choice in choices] == [[1, 2], [3], [5, 6], [7]]
    assert all(choice.level == 3 for choice in choices)
    assert merged_bytes(choices[0]) == 60 + 60
    assert rewrites([], 3, lambda _: True) == []
