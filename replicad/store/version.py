"""What readers look at: memtables and tables of every column family at one moment, immutable.

A version is replaced, never changed; its holder keeps its memtables in memory and its files readable.
All families are sealed together at one position and flushed together, so that one position says how much of
the log the tables hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from replicad import kernels
from replicad.store.manifest.families import FamilyList, FamilyRecord
from replicad.store.table.file import OpenTable
from replicad.store.table.meta import LEVELS, TableMeta
from replicad.types import DEFAULT_FAMILY, FamilyId, FileNumber, Position, Sequence

Levels = tuple[tuple[OpenTable, ...], ...]
"""`[0]` newest first, every further level by smallest key."""


@dataclass(frozen=True, slots=True)
class SealedMemtables:
    """Full, immutable, waiting to become tables: what all families got up to `position`."""

    memtables: Mapping[FamilyId, kernels.Memtable]
    """Those that are not empty."""
    families: FamilyList
    """As they were at `position`."""
    position: Position
    commit_time_us: int


@dataclass(frozen=True, slots=True)
class FamilyVersion:
    """One column family. A dropped one stays while a snapshot from before may read it."""

    record: FamilyRecord
    active: kernels.Memtable
    levels: Levels
    dropped: Sequence | None
    """The sequence number of its drop."""
    view: kernels.ReadView

    def exists_at(self, sequence: int) -> bool:
        return self.record.created <= sequence and (self.dropped is None or sequence < self.dropped)

    def tables(self) -> list[OpenTable]:
        return [table for level in self.levels for table in level]

    def metas(self) -> tuple[tuple[TableMeta, ...], ...]:
        return tuple(tuple(table.meta for table in level) for level in self.levels)


def make_family(
    record: FamilyRecord,
    active: kernels.Memtable,
    sealed: tuple[SealedMemtables, ...],
    levels: Levels,
    dropped: Sequence | None = None,
) -> FamilyVersion:
    waiting = [old.memtables[record.id] for old in sealed if record.id in old.memtables]
    kernel_levels = [[table.table for table in level] for level in levels]
    view = kernels.ReadView([active, *waiting], kernel_levels[0], kernel_levels[1:])
    return FamilyVersion(record, active, levels, dropped, view)


@dataclass(frozen=True, slots=True)
class Version:
    families: Mapping[FamilyId, FamilyVersion]
    """By id, dropped ones included while they are read."""
    next_family: FamilyId
    sealed: tuple[SealedMemtables, ...]
    """Newest first."""
    flushed: Position
    """The tables hold everything through here."""
    recorded: FamilyList
    """The families at `flushed`, as the manifest has them."""
    view: kernels.ReadView
    """That of the default family."""
    dropped: frozenset[FamilyId]

    @classmethod
    def make(
        cls,
        families: Iterable[FamilyVersion],
        next_family: FamilyId,
        sealed: tuple[SealedMemtables, ...],
        flushed: Position,
        recorded: FamilyList,
    ) -> Version:
        by_id = {family.record.id: family for family in families}
        dropped = frozenset(id for id, family in by_id.items() if family.dropped is not None)
        view = by_id[DEFAULT_FAMILY].view
        return cls(by_id, next_family, sealed, flushed, recorded, view, dropped)

    @classmethod
    def opened(cls, families: FamilyList, flushed: Position, tables: list[OpenTable]) -> Version:
        """What the manifest records, with nothing in memory."""
        made = [
            make_family(record, kernels.Memtable(), (), arrange(tables, record.id))
            for record in families.records
        ]
        return cls.make(made, families.next_id, (), flushed, families)

    def creating(self, record: FamilyRecord) -> Version:
        made = make_family(record, kernels.Memtable(), (), arrange([], record.id))
        next_family = FamilyId(record.id + 1)
        return Version.make(
            [*self.families.values(), made], next_family, self.sealed, self.flushed, self.recorded
        )

    def dropping(self, family: FamilyId, sequence: Sequence) -> Version:
        """Its tables and memtables stay for snapshots from before `sequence`."""
        return self._with(
            replace(known, dropped=sequence) if known.record.id == family else known
            for known in self.families.values()
        )

    def sealing(self, sealed: SealedMemtables, fresh: Mapping[FamilyId, kernels.Memtable]) -> Version:
        """With new active memtables for the families whose old ones were sealed."""
        waiting = (sealed, *self.sealed)
        families = [
            make_family(known.record, fresh[id], waiting, known.levels, known.dropped)
            if id in fresh
            else known  # Nothing of it was sealed: with many families making all anew takes long.
            for id, known in self.families.items()
        ]
        return Version.make(families, self.next_family, waiting, self.flushed, self.recorded)

    def flushing(self, sealed: SealedMemtables, tables: list[OpenTable]) -> Version:
        """With the oldest sealed memtables replaced by their tables."""
        assert self.sealed[-1] is sealed
        waiting = self.sealed[:-1]
        families = [
            make_family(
                known.record, known.active, waiting, arrange([*tables, *known.tables()], id), known.dropped
            )
            if id in sealed.memtables
            else known
            for id, known in self.families.items()
        ]
        return Version.make(families, self.next_family, waiting, sealed.position, sealed.families)

    def compacting(self, family: FamilyId, gone: set[FileNumber], added: list[OpenTable]) -> Version:
        def compacted(known: FamilyVersion) -> FamilyVersion:
            kept = [table for table in known.tables() if table.meta.number not in gone]
            levels = arrange([*kept, *added], family)
            return make_family(known.record, known.active, self.sealed, levels, known.dropped)

        return self._with(compacted(known) if id == family else known for id, known in self.families.items())

    def forgetting(self, may_go: Callable[[Sequence], bool]) -> Version:
        """Without the dropped families that no manifest, present or to come, has, if `may_go` agrees."""
        needed = self.recorded.ids.union(*(sealed.families.ids for sealed in self.sealed))
        return self._with(
            known
            for id, known in self.families.items()
            if known.dropped is None or id in needed or not may_go(known.dropped)
        )

    def closed(self) -> Version:
        """With nothing in any family, so that files and memory go with the last of their readers."""
        families = [
            make_family(known.record, kernels.Memtable(), (), arrange([], id), known.dropped)
            for id, known in self.families.items()
        ]
        return Version.make(families, self.next_family, (), self.flushed, self.recorded)

    def _with(self, families: Iterable[FamilyVersion]) -> Version:
        return Version.make(families, self.next_family, self.sealed, self.flushed, self.recorded)

    def live(self) -> list[FamilyVersion]:
        """The families that are not dropped, by id."""
        return [family for family in self.families.values() if family.dropped is None]

    def live_names(self) -> set[str]:
        return {family.record.name for family in self.live()}

    @property
    def family_list(self) -> FamilyList:
        return FamilyList(self.next_family, tuple(family.record for family in self.live()))

    def tables(self) -> list[OpenTable]:
        """Those that the manifest has."""
        recorded = self.recorded.ids
        return [table for id, family in self.families.items() if id in recorded for table in family.tables()]

    def waiting_bytes(self) -> int:
        return sum(memtable.memory_bytes for old in self.sealed for memtable in old.memtables.values())


def arrange(tables: list[OpenTable], family: FamilyId) -> Levels:
    """The tables of one family by level, in the order that a read view asks for."""
    levels: list[list[OpenTable]] = [[] for _ in range(LEVELS)]
    for table in tables:
        if table.meta.family == family:
            levels[table.meta.level].append(table)
    levels[0].sort(key=lambda table: (table.meta.last_sequence, table.meta.number), reverse=True)
    for level in levels[1:]:
        level.sort(key=lambda table: table.meta.smallest)
    return tuple(tuple(level) for level in levels)


def at_level(table: OpenTable, level: int) -> OpenTable:
    """The same open table in another level."""
    return OpenTable(replace(table.meta, level=level), table.reader, table.table)
