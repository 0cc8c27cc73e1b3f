"""A plain reader of manifests, written from `proto/manifest.md` alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgpack

from tests.support.oracle.checksums import crc32c

TABLE_FIELDS = (
    "number",
    "table_id",
    "family",
    "level",
    "size_bytes",
    "sha256",
    "smallest",
    "largest",
    "first_sequence",
    "last_sequence",
    "entries",
    "deletions",
    "raw_bytes",
)


def read_manifest(directory: Path) -> dict[str, Any]:
    """What the edits add up to; asserts every checksum on the way."""
    name, length, checksum = (directory / "CURRENT").read_text().split()
    assert crc32c(f"{name} {length}".encode()) == int(checksum, 16)
    data = (directory / name).read_bytes()
    assert len(data) >= int(length)
    assert data[:8] == b"RPLCDMAN" and data[8:12] == b"\1\0\0\0"
    database_id = data[12:28]
    assert crc32c(data[:28]) == int.from_bytes(data[28:32], "little")
    state: dict[str, Any] = {}
    tables: dict[int, list[Any]] = {}
    offset = 32
    while offset < len(data):
        size = int.from_bytes(data[offset : offset + 4], "little")
        payload = data[offset + 8 : offset + 8 + size]
        seeded = database_id + offset.to_bytes(8, "little") + payload
        assert crc32c(seeded) == int.from_bytes(data[offset + 4 : offset + 8], "little")
        edit = msgpack.unpackb(payload)
        for number in edit.pop("drop", []):
            del tables[number]
        tables |= {table[0]: table for table in edit.pop("add", [])}
        state |= edit
        offset += 8 + size
    state["tables"] = [dict(zip(TABLE_FIELDS, table, strict=True)) for table in tables.values()]
    return state
