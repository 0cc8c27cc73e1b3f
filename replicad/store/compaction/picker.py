"""Which tables to compact next: `choose(levels, shape) -> Choice | None`, a pure function of one family.

Leveled, as in LevelDB and RocksDB: level 0 holds flushed tables, which overlap; every level below holds
tables that do not. The level that is most over its target is compacted into the one below it; level 0 comes
after all others until it has three times its tables, because it merges with all of level 1. Within a level
the table goes that overlaps least below for its own size, so that as little as possible is written again for
each byte that gets deeper (RocksDB's kMinOverlappingRatio).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from replicad.store.table.meta import LEVELS, TableMeta
from replicad.types import FamilyId

LEVEL0_FIRST = 3.0
"""From this many times its tables on, level 0 does not wait: readers ask each of them."""
REWRITTEN_TOGETHER = 8
Levels = Sequence[Sequence[TableMeta]]
"""Level 0 newest first; each further level by smallest key."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes that the levels should have."""

    level0_tables: int
    level_base_bytes: int
    multiplier: int

    def target_bytes(self, level: int) -> int:
        return self.level_base_bytes * int(self.multiplier ** (level - 1))


@dataclass(frozen=True, slots=True)
class TableMove:
    """One table that overlaps nothing of the next level: only its level changes, nothing is written again."""

    table: TableMeta
    output_level: int


@dataclass(frozen=True, slots=True)
class LevelMerge:
    """Tables of one level go into the next one, merged with the tables there that they overlap."""

    level: int
    inputs: tuple[TableMeta, ...]
    below: tuple[TableMeta, ...]
    """The overlapping tables of the next level; none when several tables of level 0 overlap nothing there."""
    bottom: bool
    """Nothing under the next level overlaps: deletions need not be kept."""

    @property
    def output_level(self) -> int:
        return self.level + 1


@dataclass(frozen=True, slots=True)
class TableRewrite:
    """Tables of the lowest level that holds any, merged where they are: deletions and old versions go."""

    level: int
    tables: tuple[TableMeta, ...]


Choice = TableMove | LevelMerge | TableRewrite


def merged_bytes(choice: Choice) -> int:
    """What a compaction reads, which is the most that it can write."""
    match choice:
        case TableMove():
            return 0
        case LevelMerge():
            return sum(meta.size_bytes for meta in (*choice.inputs, *choice.below))
        case TableRewrite():
            return sum(meta.size_bytes for meta in choice.tables)


def most_urgent(families: Mapping[FamilyId, Levels], shape: Shape) -> FamilyId | None:
    """The column family to compact next, or None when none needs it; the lowest id of equals."""
    urgencies = {family: _most_urgent_level(levels, shape)[0] for family, levels in families.items()}
    family = max(urgencies, key=lambda family: (urgencies[family], -family), default=None)
    return family if family is not None and urgencies[family] >= 1 else None


def _most_urgent_level(levels: Levels, shape: Shape) -> tuple[float, int]:
    """(urgency, level): from 1 on it should be compacted."""
    level0 = _score(levels, 0, shape)
    score, level = max((_score(levels, level, shape), -level) for level in range(1, LEVELS - 1))
    if level0 >= LEVEL0_FIRST or score < 1 <= level0:
        return level0, 0
    return score, -level


def choose(levels: Levels, shape: Shape) -> Choice | None:
    """The most urgent compaction, or None."""
    score, level = _most_urgent_level(levels, shape)
    if score < 1:
        return None
    return choose_in(levels, level)


def choose_in(levels: Levels, level: int) -> TableMove | LevelMerge:
    """The next compaction out of a level that is not empty."""
    inputs = tuple(levels[0]) if level == 0 else (_least_overlapping(levels[level], levels[level + 1]),)
    smallest = min(table.smallest for table in inputs)
    largest = max(table.largest for table in inputs)
    below = overlapping(levels[level + 1], smallest, largest)

    # Tables of level 0 overlap each other, which those of no other level may: they are always merged.
    if level > 0 and not below:
        return TableMove(inputs[0], level + 1)

    # The output reaches as far as the tables below do, so their keys count too when deletions are judged.
    for table in below:
        smallest, largest = min(smallest, table.smallest), max(largest, table.largest)
    bottom = not any(overlapping(deeper, smallest, largest) for deeper in levels[level + 2 :])
    return LevelMerge(level, inputs, below, bottom)


def rewrites(
    tables: Sequence[TableMeta], level: int, may_shrink: Callable[[TableMeta], bool]
) -> list[TableRewrite]:
    """In the lowest level that holds any: the tables from which something can go, merged where they are.

    Neighbours together, so that what is left of them makes whole tables, but few at a time for want of room.
    """
    found: list[TableRewrite] = []
    for shrinks, group in groupby(tables, may_shrink):
        together = tuple(group) if shrinks else ()
        for begin in range(0, len(together), REWRITTEN_TOGETHER):
            found.append(TableRewrite(level, together[begin : begin + REWRITTEN_TOGETHER]))
    return found


def overlapping(tables: Sequence[TableMeta], smallest: bytes, largest: bytes) -> tuple[TableMeta, ...]:
    return tuple(table for table in tables if table.largest >= smallest and table.smallest <= largest)


def debt_bytes(levels: Levels, shape: Shape) -> int:
    """Bytes above the targets: what is waiting to be compacted."""
    debt = 0
    if len(levels[0]) >= shape.level0_tables:
        debt += sum(table.size_bytes for table in levels[0])
    for level in range(1, LEVELS - 1):
        debt += max(0, sum(table.size_bytes for table in levels[level]) - shape.target_bytes(level))
    return debt


def _score(levels: Levels, level: int, shape: Shape) -> float:
    if level == 0:
        return len(levels[0]) / shape.level0_tables
    return sum(table.size_bytes for table in levels[level]) / shape.target_bytes(level)


def _least_overlapping(tables: Sequence[TableMeta], below: Sequence[TableMeta]) -> TableMeta:
    """The first of those with the least bytes below for each byte of their own."""

    def ratio(table: TableMeta) -> float:
        overlapped = overlapping(below, table.smallest, table.largest)
        return sum(other.size_bytes for other in overlapped) / table.size_bytes

    return min(tables, key=ratio)
