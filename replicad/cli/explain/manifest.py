"""A manifest, record by record, and CURRENT, which names one."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from replicad.cli.explain.explanation import Damage, Explanation
from replicad.cli.output import json_bytes
from replicad.errors import CorruptionError
from replicad.store.manifest.edit import Edit, decode_edit
from replicad.store.manifest.file import HEADER_BYTES, decode_current, decode_header, decode_records
from replicad.store.table.meta import TableMeta
from replicad.units import show_time

_RECORD_HEADER_BYTES = 8


def explain_current(data: bytes) -> Explanation:
    explained = Explanation("CURRENT", len(data))
    try:
        name, length = decode_current(data)
        explained.header = {"manifest": name, "durable_bytes_at_least": length, "checksum": "right"}
    except CorruptionError as error:
        explained.damage = Damage.of(error)
    return explained


def explain_manifest(data: bytes, *, entries: bool) -> Explanation:
    explained = Explanation("manifest", len(data), part_name="record")
    try:
        database_id = decode_header(data)
    except CorruptionError as error:
        explained.damage = Damage.of(error)
        return explained
    explained.header = {"database_id": database_id.hex(), "checksum": "right"}

    records, end, damage = decode_records(data, database_id)
    for offset, payload in records:
        try:
            edit = decode_edit(payload)
        except CorruptionError as error:
            explained.damage = Damage(offset, error.reason)
            return explained

        part = {"offset": offset, "length": _RECORD_HEADER_BYTES + len(payload)}
        explained.parts.append(part | _edit(edit, entries))

    explained.header["records"] = len(records)
    assert end >= HEADER_BYTES

    # It may be the torn tail of an edit that was never reported. Without CURRENT that cannot be told from
    # corruption, so it is shown as damage.
    if damage is not None:
        explained.damage = Damage(end, damage)
    return explained


def _edit(edit: Edit, entries: bool) -> dict[str, Any]:
    """Only what the edit changes."""
    shown: dict[str, Any] = {}
    for field in fields(edit):
        value = getattr(edit, field.name)
        if value is None or value == ():
            continue

        match field.name:
            case "database_id":
                shown["database_id"] = value.hex()
            case "parent":
                shown["parent"] = {"database_id": value.database_id.hex(), "fork": str(value.fork)}
            case "epochs":
                shown["epochs"] = [f"{e.epoch} ({e.id.hex()}) from {e.fork}" for e in value]
            case "commit_time_us":
                shown["committed"] = show_time(value)
            case "add":
                shown["add"] = [_table(meta) if entries else meta.name for meta in value]
            case "families":
                names = {str(record.id): record.name for record in value.records}
                shown["families"] = names | {"next": str(value.next_id)}
            case "drop":
                shown["drop"] = list(value)
            case "flushed" | "synced" | "log_start" | "owned":
                shown[field.name] = str(value)
            case name:
                shown[name] = value
    return shown


def _table(meta: TableMeta) -> dict[str, Any]:
    return {
        "name": meta.name,
        "family": meta.family,
        "level": meta.level,
        "size_bytes": meta.size_bytes,
        "sha256": meta.sha256.hex(),
        "table_id": meta.table_id.hex(),
        "smallest": json_bytes(meta.smallest),
        "largest": json_bytes(meta.largest),
        "sequences": [meta.first_sequence, meta.last_sequence],
        "entries": meta.entries,
        "deletions": meta.deletions,
    }
