"""A table: footer and properties, then every data block with its checksum."""

from __future__ import annotations

import hashlib
from typing import Any

from replicad import kernels
from replicad.cli.explain.explanation import Damage, Explanation
from replicad.cli.output import json_bytes
from replicad.errors import CorruptionError
from replicad.store.table.format import (
    FOOTER_BYTES,
    TRAILER_BYTES,
    BlockHandle,
    decode_footer,
    decode_properties,
)
from replicad.types import OperationKind
from replicad.units import show_time


def explain_table(data: bytes, *, entries: bool) -> Explanation:
    explained = Explanation("table", len(data), part_name="block")
    explained.header["sha256"] = hashlib.sha256(data).hexdigest()

    # The footer is where all blocks are found. Without it nothing else can be read.
    footer_offset = max(0, len(data) - FOOTER_BYTES)
    try:
        table_id, filter_, index, properties = decode_footer(data[footer_offset:])
    except CorruptionError as error:
        explained.damage = Damage.of(error, footer_offset)
        return explained
    explained.header["table_id"] = table_id.hex()

    # Damage to one block does not keep the others from being shown.
    blocks = _Blocks(data, table_id, explained)
    raw_properties = blocks.read(properties)
    if raw_properties is not None:
        try:
            explained.header |= _jsonable(decode_properties(raw_properties))
        except CorruptionError as error:
            explained.damage = Damage(properties.offset, error.reason)

    raw_index = blocks.read(index)
    if raw_index is not None:
        try:
            for last_key, offset, length, raw_length in kernels.decode_index(raw_index):
                blocks.explain_data(last_key, BlockHandle(offset, length, raw_length), entries)
        except CorruptionError as error:
            blocks.damaged(Damage(index.offset, error.reason))

    for name, handle in (("filter", filter_), ("index", index), ("properties", properties)):
        verdict = "wrong" if blocks.read(handle) is None else "right"
        explained.parts.append(_part(handle) | {"block": name, "checksum": verdict})
    explained.parts.append(
        {"offset": footer_offset, "length": FOOTER_BYTES, "block": "footer", "checksum": "right"}
    )
    return explained


class _Blocks:
    """Reads blocks and keeps the damage with the lowest offset."""

    def __init__(self, data: bytes, table_id: bytes, explained: Explanation) -> None:
        self._data = data
        self._table_id = table_id
        self._explained = explained

    def damaged(self, damage: Damage) -> None:
        known = self._explained.damage
        if known is None or damage.offset < known.offset:
            self._explained.damage = damage

    def read(self, handle: BlockHandle) -> bytes | None:
        """The raw block, or None when it is damaged."""
        sealed = self._data[handle.offset : handle.offset + handle.length + TRAILER_BYTES]
        try:
            return kernels.open_block(sealed, self._table_id, *handle)[0]
        except CorruptionError as error:
            self.damaged(
                Damage.of(
                    CorruptionError(error.reason, expected=error.expected, got=error.got), handle.offset
                )
            )
            return None

    def explain_data(self, last_key: bytes, handle: BlockHandle, entries: bool) -> None:
        part = _part(handle) | {"block": "data", "last_key": json_bytes(last_key)}

        raw = self.read(handle)
        part["checksum"] = "wrong" if raw is None else "right"

        if raw is not None:
            try:
                decoded = kernels.decode_block(raw)
            except CorruptionError as error:
                self.damaged(Damage(handle.offset, error.reason))
            else:
                part["records"] = len(decoded)
                if entries:
                    part["entries"] = [
                        {
                            "key": json_bytes(key),
                            "sequence": sequence,
                            "kind": OperationKind(kind).name.lower(),
                            "value": json_bytes(value),
                        }
                        for key, sequence, kind, value in decoded
                    ]

        self._explained.parts.append(part)


def _part(handle: BlockHandle) -> dict[str, Any]:
    return {
        "offset": handle.offset,
        "length": handle.length + TRAILER_BYTES,
        "raw_length": handle.raw_length,
    }


def _jsonable(properties: dict[str, Any]) -> dict[str, Any]:
    shown = {
        name: json_bytes(value) if isinstance(value, bytes) else value for name, value in properties.items()
    }
    if isinstance(created_us := shown.pop("created_us", None), int):
        shown["created"] = show_time(created_us)
    return shown
