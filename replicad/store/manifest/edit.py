"""One change of the manifest, and its encoding: a msgpack map (`proto/manifest.md`).

A field that is None (or empty) is not in the map and changes nothing. The first record of a manifest file is
an edit that holds everything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgpack

from replicad.errors import CorruptionError
from replicad.store.manifest import fields
from replicad.store.manifest.families import DEFAULT_RECORD, FamilyList
from replicad.store.table.meta import TableMeta
from replicad.types import DatabaseId, EpochRecord, FamilyId, FileNumber, Position

RECORD_BYTES_MAX = 256 << 20
_CONTAINER_BYTES_MIN = 5
"""No array in an edit takes less, so there are no more of them: empty ones grow 60-fold in memory."""
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
    """Segments that begin before the end of this position are not part of this history."""
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


def _table(meta: TableMeta) -> list[Any]:
    # The order is the format: a field is only ever added at the end.
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


def encode_edit(edit: Edit) -> bytes:
    values: dict[str, Any] = {}
    if edit.database_id is not None:
        values["database_id"] = edit.database_id
    if edit.parent is not None:
        values["parent"] = [edit.parent.database_id, _position(edit.parent.fork)]
    if edit.copy is not None:
        values["copy"] = edit.copy

    if edit.epochs is not None:
        values["epochs"] = [[record.epoch, record.id, _position(record.fork)] for record in edit.epochs]
    if edit.next_file is not None:
        values["next_file"] = edit.next_file

    for name in POSITIONS:
        position: Position | None = getattr(edit, name)
        if position is not None:
            values[name] = _position(position)

    if edit.log_replaced is not None:
        values["log_replaced"] = edit.log_replaced
    if edit.commit_time_us is not None:
        values["commit_time_us"] = edit.commit_time_us

    # Every database has the default family, so only the others are written.
    if edit.families is not None:
        values["families"] = [
            [record.id, record.name, record.created] for record in edit.families.records[1:]
        ]
        values["next_family"] = edit.families.next_id

    if edit.add:
        values["add"] = [_table(meta) for meta in edit.add]
    if edit.drop:
        values["drop"] = list(edit.drop)

    return bytes(msgpack.packb(values, use_bin_type=True))


def _read_parent(value: Any) -> Parent:
    database_id, fork = value
    return Parent(database_id=DatabaseId(fields.bytes_of(database_id, 16)), fork=fields.position(fork))


def _read_families(found: dict[str, Any]) -> FamilyList | None:
    if "families" not in found:
        return None
    records = (DEFAULT_RECORD, *map(fields.family, found["families"]))
    next_id = fields.number(found["next_family"], (1 << 32) + 1)
    ids = [record.id for record in records]
    if (
        ids != sorted(set(ids))
        or ids[-1] >= next_id
        or len({record.name for record in records}) < len(records)
    ):
        raise ValueError("the column families are out of order")
    return FamilyList(FamilyId(next_id), records)


_READ: dict[str, Callable[[Any], Any]] = {
    "database_id": lambda value: DatabaseId(fields.bytes_of(value, 16)),
    "parent": _read_parent,
    "copy": fields.boolean,
    "epochs": lambda value: tuple(map(fields.epoch_record, value)),
    "next_file": fields.file_number,
    "log_replaced": fields.boolean,
    "commit_time_us": fields.number,
    "add": lambda value: tuple(map(fields.table, value)),
    "drop": lambda value: tuple(map(fields.file_number, value)),
    **dict.fromkeys(POSITIONS, fields.position),
}


def decode_edit(data: bytes) -> Edit:
    """Reads a record whose checksum was right; raises CorruptionError if it still is not an edit."""
    try:
        count = fields.Count(64 + len(data) // _CONTAINER_BYTES_MIN)

        # Bounded while it is unpacked: a record of empty containers would grow 60-fold in memory.
        found = msgpack.unpackb(
            data,
            raw=False,
            max_map_len=64,
            max_array_len=len(data),
            max_ext_len=0,
            strict_map_key=True,
            list_hook=count,
            object_hook=count,
        )

        if type(found) is not dict:
            raise ValueError(f"{type(found).__name__} is not a map")
        values = {name: read(found[name]) for name, read in _READ.items() if name in found}
        return Edit(families=_read_families(found), **values)
    except (
        CorruptionError,
        ValueError,
        TypeError,
        KeyError,
        RecursionError,
        msgpack.UnpackException,
    ) as error:
        raise CorruptionError(f"not a manifest edit: {error}") from error
