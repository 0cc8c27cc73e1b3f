"""What to compact next: tables in tests/testdata/picker, and what is not a table."""

from __future__ import annotations

import re
from collections.abc import Sequence as Many

import pytest

from replicad.store.compaction import picker
from replicad.store.compaction.picker import (
    Choice,
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
from tests.support.cases import Case, cases

SHAPE = Shape(level0_tables=2, level_base_bytes=100, multiplier=10)
TABLE = re.compile(r"(?P<number>\d+) (?P<smallest>\w)-(?P<largest>\w)(?: (?P<size>\d+))?")


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


def level(case: Case, number: int) -> list[TableMeta]:
    """One level of a case."""
    text = case.get(f"level {number}")
    found = [TABLE.fullmatch(part) for part in text.split(", ")] if text else []
    if None in found:
        raise case.error(f"{text!r} is not a list of tables")
    return [
        table(int(match["number"]), number, match["smallest"], match["largest"], int(match["size"] or 60))
        for match in found
        if match is not None
    ]


def levels(case: Case) -> list[list[TableMeta]]:
    return [level(case, number) for number in range(LEVELS)]


def numbers(metas: Many[TableMeta]) -> list[int]:
    return [meta.number for meta in metas]


def listed(metas: Many[TableMeta]) -> str:
    return ", ".join(map(str, numbers(metas))) or "nothing"


def in_words(choice: Choice | None) -> str:
    match choice:
        case None:
            return "nothing"
        case TableMove(moved, output_level):
            assert merged_bytes(choice) == 0
            return f"move {moved.number} from level {moved.level} to {output_level}"
        case LevelMerge():
            return (
                f"merge {listed(choice.inputs)} from level {choice.level} with {listed(choice.below)} "
                f"into level {choice.output_level}: {merged_bytes(choice)} bytes\n"
                f"deletions {'go' if choice.bottom else 'stay'}"
            )
        case other:
            raise AssertionError(f"{other} is not what choose returns")


@pytest.mark.parametrize("case", cases("picker/choose"), ids=str)
def test_what_is_compacted_next(case: Case) -> None:
    """The level most over its target, in it the table that overlaps least, with what it overlaps below."""
    case.expect(in_words(choose(levels(case), SHAPE)))


@pytest.mark.parametrize("case", cases("picker/debt"), ids=str)
def test_debt_counts_what_is_above_the_targets(case: Case) -> None:
    case.expect(f"{debt_bytes(levels(case), SHAPE)} bytes")


@pytest.mark.parametrize("case", cases("picker/families"), ids=str)
def test_which_family_is_compacted_next(case: Case) -> None:
    """The family that is most over a target, the lowest id of equals, and none when none is over."""
    counts = {FamilyId(number): case.number(f"family {number}") for number in (0, 2, 4)}
    families = {
        family: [
            [table(number, 0, "a", "b") for number in range(count)],
            *([] for _ in range(1, LEVELS)),
        ]
        for family, count in counts.items()
        if count is not None
    }
    chosen = most_urgent(families, SHAPE)
    case.expect("none" if chosen is None else f"family {chosen}")


def test_overlap_is_inclusive() -> None:
    """Tables that share only a boundary key overlap."""
    tables = [table(1, 1, "a", "c"), table(2, 1, "c", "e"), table(3, 1, "f", "g")]
    assert numbers(overlapping(tables, b"c", b"c")) == [1, 2]
    assert numbers(overlapping(tables, b"e\x00", b"e\xff")) == []


def test_tables_that_can_shrink_are_merged_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neighbours go together, a few at a time; no merge spans a table that stays."""
    monkeypatch.setattr(picker, "REWRITTEN_TOGETHER", 2)
    tables = [table(number, 3, f"{number}", f"{number}") for number in range(1, 8)]
    choices = rewrites(tables, 3, lambda meta: meta.number != 4)
    assert [numbers(choice.tables) for choice in choices] == [[1, 2], [3], [5, 6], [7]]
    assert all(choice.level == 3 for choice in choices)
    assert merged_bytes(choices[0]) == 60 + 60
    assert rewrites([], 3, lambda _: True) == []
