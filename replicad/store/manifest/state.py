"""The manifest's state: all edits so far, added up. Immutable; applying an edit makes the next one."""

from __future__ import annotations

from dataclasses import dataclass, replace

from replicad.errors import CorruptionError
from replicad.store.manifest.edit import Edit, Parent
from replicad.store.manifest.families import ONLY_DEFAULT, FamilyList
from replicad.store.table.meta import TableMeta
from replicad.types import ORIGIN, DatabaseId, EpochRecord, FileNumber, Position

FIRST_FILE = FileNumber(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestState:
    database_id: DatabaseId
    parent: Parent | None = None
    copy: bool = False
    epochs: tuple[EpochRecord, ...] = ()
    next_file: FileNumber = FIRST_FILE
    flushed: Position = ORIGIN
    synced: Position = ORIGIN
    log_start: Position = ORIGIN
    log_replaced: bool = False
    owned: Position = ORIGIN
    commit_time_us: int = 0
    families: FamilyList = ONLY_DEFAULT
    """As they are at `flushed`."""
    tables: tuple[TableMeta, ...] = ()

    def apply(self, edit: Edit) -> ManifestState:
        """The state after `edit`; raises CorruptionError for one that does not fit."""
        known = {meta.number for meta in self.tables}
        if missing := set(edit.drop) - known:
            raise CorruptionError(f"the edit drops tables that are not there: {sorted(missing)}")

        # Drops apply before adds: a table that only changes its level is dropped and added in one edit.
        dropped = set(edit.drop)
        kept = tuple(meta for meta in self.tables if meta.number not in dropped)
        if twice := {meta.number for meta in edit.add} & {meta.number for meta in kept}:
            raise CorruptionError(f"the edit adds tables that are there: {sorted(twice)}")

        families = edit.families or self.families
        if homeless := {meta.family for meta in (*kept, *edit.add)} - families.ids:
            raise CorruptionError(
                f"there are tables of column families that are not there: {sorted(homeless)}"
            )

        # Tables hold everything through `flushed`, so `synced` is never less.
        flushed = edit.flushed or self.flushed
        synced = max(edit.synced or self.synced, flushed, key=lambda position: position.sequence)

        return replace(
            self,
            database_id=edit.database_id or self.database_id,
            parent=edit.parent or self.parent,
            copy=self.copy if edit.copy is None else edit.copy,
            epochs=self.epochs if edit.epochs is None else edit.epochs,
            next_file=max(edit.next_file or self.next_file, self.next_file),
            flushed=flushed,
            synced=synced,
            log_start=edit.log_start or self.log_start,
            log_replaced=self.log_replaced if edit.log_replaced is None else edit.log_replaced,
            owned=edit.owned or self.owned,
            commit_time_us=edit.commit_time_us or self.commit_time_us,
            families=families,
            tables=kept + edit.add,
        )

    def whole(self) -> Edit:
        """The edit that makes this state out of nothing."""
        # `log_replaced` and `owned` are left out where they are what a reader assumes without them.
        return Edit(
            database_id=self.database_id,
            parent=self.parent,
            copy=self.copy,
            epochs=self.epochs,
            next_file=self.next_file,
            flushed=self.flushed,
            synced=self.synced,
            log_start=self.log_start,
            log_replaced=self.log_replaced or None,
            owned=None if self.owned == ORIGIN else self.owned,
            commit_time_us=self.commit_time_us,
            families=self.families,
            add=self.tables,
        )

    @classmethod
    def of(cls, edit: Edit) -> ManifestState:
        """From the first record of a manifest file."""
        if edit.database_id is None:
            raise CorruptionError("the first edit names no database")
        return cls(database_id=edit.database_id).apply(edit)
