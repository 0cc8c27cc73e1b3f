"""The parts of a table that Python writes, properties and footer, and what it must know of the others
(`proto/table.md`).

table = data block*, filter block, index block, properties block, footer (80 bytes)
block = payload, type u8, crc32c u32 of (table id, u64 offset of the block, payload, type)
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import msgpack

from replicad import kernels
from replicad.env.filesystem import Bytes
from replicad.errors import CorruptionError, NewerFormatError

MAGIC = b"RPLCDSST"
VERSION = 1
TRAILER_BYTES = 5
FOOTER_BYTES = 80

_FOOTER = struct.Struct("<8sI16sQIIQIIQII")


class BlockHandle(NamedTuple):
    """Where a block's payload lies, how long it is there, and how long it becomes."""

    offset: int
    length: int
    raw_length: int


def encode_footer(table_id: bytes, filter: BlockHandle, index: BlockHandle, properties: BlockHandle) -> bytes:
    body = _FOOTER.pack(
        MAGIC,
        VERSION,
        table_id,
        filter.offset,
        filter.length,
        filter.raw_length,
        index.offset,
        index.length,
        index.raw_length,
        properties.offset,
        properties.length,
        properties.raw_length,
    )

    return body + kernels.crc32c(body).to_bytes(4, "little")


def decode_footer(data: bytes) -> tuple[bytes, BlockHandle, BlockHandle, BlockHandle]:
    """(table id, filter, index, properties); raises CorruptionError with offsets relative to the footer."""
    if len(data) != FOOTER_BYTES:
        raise CorruptionError(
            "the table is too short for a footer", offset=0, expected=FOOTER_BYTES, got=len(data)
        )
    body, checksum = data[:-4], int.from_bytes(data[-4:], "little")
    if (actual := kernels.crc32c(body)) != checksum:
        raise CorruptionError("table footer checksum", offset=0, expected=checksum, got=actual)
    magic, version, table_id, *numbers = _FOOTER.unpack(body)
    if magic != MAGIC:
        raise CorruptionError("not a table", offset=0, expected=MAGIC, got=magic)
    if version > VERSION:
        raise NewerFormatError.of("table", version, VERSION)
    return table_id, BlockHandle(*numbers[0:3]), BlockHandle(*numbers[3:6]), BlockHandle(*numbers[6:9])


SEVERAL_VERSIONS = "several_versions"
"""The property of a table that may hold more than one version of a key."""


COMPRESSION = "compression"
"""The property of a table whose blocks were stored as they are only where this made none smaller."""


def encode_properties(properties: dict[str, Any]) -> bytes:
    return bytes(msgpack.packb(properties, use_bin_type=True))


def decode_properties(data: Bytes) -> dict[str, Any]:
    try:
        properties = msgpack.unpackb(data, raw=False, max_map_len=64, max_array_len=64, max_str_len=256)
    except (ValueError, msgpack.UnpackException) as error:
        raise CorruptionError(f"table properties: {error}", offset=0) from None
    if not isinstance(properties, dict):
        raise CorruptionError("table properties are not a map", offset=0)
    return properties
