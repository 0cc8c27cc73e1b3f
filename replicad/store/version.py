"""What readers look at: memtables and tables at one moment, immutable.

A version is replaced, never changed; whoever holds one keeps its memtables in memory and its files readable.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from replicad import kernels
from replicad.store.compaction.picker import LEVELS
from replicad.store.table.file import OpenTable
from replicad.store.table.meta import TableMeta
from replicad.types import DEFAULT_FAMILY, FileNumber, Position


@dataclass(frozen=True, slots=True)
class SealedMemtable:
    """Full, immutable, waiting to become a table; it ends at `position`."""

    memtable: kernels.Memtable
    position: Position
    commit_time_us: int


@dataclass(frozen=True, slots=True)
class Version:
    """`sealed` newest first; `levels[0]` newest first, every further level by smallest key."""

    active: kernels.Memtable
    sealed: tuple[SealedMemtable, ...]
    levels: tuple[tuple[OpenTable, ...], ...]
    flushed: Position
    """The tables hold everything through here."""
    view: kernels.ReadView

    @classmethod
    def make(
        cls,
        active: kernels.Memtable,
        sealed: tuple[SealedMemtable, ...],
        levels: tuple[tuple[OpenTable, ...], ...],
        flushed: Position,
    ) -> Version:
        memtables = [active, *(old.memtable for old in sealed)]
        kernel_levels = [[table.table for table in level] for level in levels]
        view = kernels.ReadView(memtables, kernel_levels[0], kernel_levels[1:])
        return cls(active, sealed, levels, flushed, view)

    def sealing(self, active: kernels.Memtable, sealed: SealedMemtable) -> Version:
        """With a new active memtable."""
        return Version.make(active, (sealed, *self.sealed), self.levels, self.flushed)

    def flushing(self, sealed: SealedMemtable, tables: list[OpenTable]) -> Version:
        """With the oldest sealed memtable replaced by its tables."""
        assert self.sealed[-1] is sealed
        levels = arrange([*tables, *self.tables()])
        return Version.make(self.active, self.sealed[:-1], levels, sealed.position)

    def compacting(self, dropped: set[FileNumber], added: list[OpenTable]) -> Version:
        kept = [table for table in self.tables() if table.meta.number not in dropped]
        return Version.make(self.active, self.sealed, arrange([*kept, *added]), self.flushed)

    def tables(self) -> list[OpenTable]:
        return [table for level in self.levels for table in level]

    def metas(self) -> tuple[tuple[TableMeta, ...], ...]:
        return tuple(tuple(table.meta for table in level) for level in self.levels)


def arrange(tables: list[OpenTable]) -> tuple[tuple[OpenTable, ...], ...]:
    """Tables of one family by level, in the order that a read view asks for."""
    levels: list[list[OpenTable]] = [[] for _ in range(LEVELS)]
    for table in tables:
        assert table.meta.family == DEFAULT_FAMILY
        levels[table.meta.level].append(table)
    levels[0].sort(key=lambda table: (table.meta.last_sequence, table.meta.number), reverse=True)
    for level in levels[1:]:
        level.sort(key=lambda table: table.meta.smallest)
    return tuple(tuple(level) for level in levels)


def at_level(table: OpenTable, level: int) -> OpenTable:
    """The same open table in another level."""
    return OpenTable(replace(table.meta, level=level), table.reader, table.table)
