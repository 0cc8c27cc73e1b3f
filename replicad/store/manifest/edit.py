"""One change of the manifest, and its encoding: a msgpack map (`proto/manifest.md`).

A field that is None (or empty) is not in the map and changes nothing. The first record of a manifest file is
an edit that holds everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgpack

from replicad.errors import CorruptionError
from replicad.store.manifest.families import DEFAULT_RECORD, FamilyList, FamilyRecord
from replicad.store.table.meta import TableMeta
from replicad.types import (
    DatabaseId,
    Epoch,
    EpochRecord,
    FamilyId,
    FileNumber,
    HistoryHash,
    Position,
    Sequence,
)

RECORD_BYTES_MAX = 256 << 20
POSITIONS = ("flushed", "synced", "log_start", "owned")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """Of which database this one was a copy, and where it left it."""

    database_id: DatabaseId
    fork: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    database_id: DatabaseId | None = None
    parent: Parent | None = None
    copy: bool | None = None
    """Whether the directory follows: a copy that nobody has opened for writing yet, or a replica."""
    epochs: tuple[EpochRecord, ...] | None = None
    next_file: FileNumber | None = None
    flushed: Position | None = None
    """The tables hold everything through here."""
    synced: Position | None = None
    """The log was durable through here when the edit was written."""
    log_start: Position | None = None
    """Segments that begin before the end of this position are no part of this history."""
    log_replaced: bool | None = None
    """Every segment that is there is of the history that this one replaced. Opening removes them all, and
    takes this back."""
    owned: Position | None = None
    """Unless the directory is a copy, this node wrote the log after this as primary."""
    commit_time_us: int | None = None
    families: FamilyList | None = None
    """The column families at `flushed`."""
    add: tuple[TableMeta, ...] = ()
    drop: tuple[FileNumber, ...] = ()


def _position(position: Position) -> list[int]:
    return [position.epoch, position.sequence, position.history_hash]


def _read_position(value: list[int]) -> Position:
    epoch, sequence, history_hash = value
    return Position(Epoch(epoch), Sequence(sequence), HistoryHash(history_hash))


def _table(meta: TableMeta) -> list[Any]:
    return [
        meta.number,
        meta.table_id,
        meta.family,
        meta.level,
        meta.size_bytes,
        meta.sha256,
        meta.smallest,
        meta.largest,
        meta.first_sequence,
        meta.last_sequence,
        meta.entries,
        meta.deletions,
        meta.raw_bytes,
    ]


def _read_table(value: list[Any]) -> TableMeta:
    number, table_id, family, level, size, sha256, smallest, largest, first, last, entries, deletions, raw = (
        value
    )
    return TableMeta(
        number=FileNumber(number),
        table_id=table_id,
        family=FamilyId(family),
        level=level,
        size_bytes=size,
        sha256=sha256,
        smallest=smallest,
        largest=largest,
        first_sequence=Sequence(first),
        last_sequence=Sequence(last),
        entries=entries,
        deletions=deletions,
        raw_bytes=raw,
    )


def encode_edit(edit: Edit) -> bytes:
    fields: dict[str, Any] = {}
    if edit.database_id is not None:
        fields["database_id"] = edit.database_id
    if edit.parent is not None:
        fields["parent"] = [edit.parent.database_id, _position(edit.parent.fork)]
    if edit.copy is not None:
        fields["copy"] = edit.copy
    if edit.epochs is not None:
        fields["epochs"] = [[record.epoch, record.id, _position(record.fork)] for record in edit.epochs]
    if edit.next_file is not None:
        fields["next_file"] = edit.next_file
    for name in POSITIONS:
        position: Position | None = getattr(edit, name)
        if position is not None:
            fields[name] = _position(position)
    if edit.log_replaced is not None:
        fields["log_replaced"] = edit.log_replaced
    if edit.commit_time_us is not None:
        fields["commit_time_us"] = edit.commit_time_us
    if edit.families is not None:
        fields["families"] = [
            [record.id, record.name, record.created] for record in edit.families.records[1:]
        ]
        fields["next_family"] = edit.families.next_id
    if edit.add:
        fields["add"] = [_table(meta) for meta in edit.add]
    if edit.drop:
        fields["drop"] = list(edit.drop)
    return bytes(msgpack.packb(fields, use_bin_type=True))


def _read_families(fields: dict[str, Any]) -> FamilyList | None:
    if "families" not in fields:
        return None
    further = [
        FamilyRecord(FamilyId(id), name, Sequence(created)) for id, name, created in fields["families"]
    ]
    return FamilyList(FamilyId(fields["next_family"]), (DEFAULT_RECORD, *further))


def decode_edit(data: bytes) -> Edit:
    """Reads a record whose checksum was right; raises CorruptionError if it is no edit all the same."""
    try:
        fields = msgpack.unpackb(
            data, raw=False, max_map_len=64, max_array_len=len(data), strict_map_key=True
        )
        parent = fields.get("parent")
        epochs = fields.get("epochs")
        positions = {name: _read_position(fields[name]) for name in POSITIONS if name in fields}
        return Edit(
            database_id=fields.get("database_id"),
            parent=None if parent is None else Parent(database_id=parent[0], fork=_read_position(parent[1])),
            copy=fields.get("copy"),
            epochs=None
            if epochs is None
            else tuple(EpochRecord(Epoch(epoch), id, _read_position(fork)) for epoch, id, fork in epochs),
            next_file=fields.get("next_file"),
            log_replaced=fields.get("log_replaced"),
            commit_time_us=fields.get("commit_time_us"),
            families=_read_families(fields),
            add=tuple(_read_table(value) for value in fields.get("add", ())),
            drop=tuple(fields.get("drop", ())),
            **positions,
        )
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, msgpack.UnpackException) as error:
        raise CorruptionError(f"not a manifest edit: {error}") from error
