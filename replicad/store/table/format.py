"""The parts of a table that Python writes: block trailers, properties and footer (`proto/table.md`).

table = data block*, filter block, index block, properties block, footer (80 bytes)
block = payload, type u8, crc32c u32 of (table id, u64 offset of the block, payload, type)
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Any, NamedTuple

import lz4.block
import msgpack

from replicad import kernels
from replicad.env.filesystem import Bytes
from replicad.errors import CorruptionError, NewerFormatError

MAGIC = b"RPLCDSST"
VERSION = 1
TRAILER_BYTES = 5
FOOTER_BYTES = 80

_LZ4_RATIO_MAX = 255
"""A byte of LZ4 says no more than that, so no room is made for a length that cannot be true."""

_TRAILER = struct.Struct("<BI")
_FOOTER = struct.Struct("<8sI16sQIIQIIQII")


class BlockType(IntEnum):
    """On disk; never renumbered."""

    RAW = 0
    LZ4 = 1


# Looking a member up in its class costs more than the checksum of a block: here it is done for each block.
RAW, LZ4 = BlockType.RAW, BlockType.LZ4


class BlockHandle(NamedTuple):
    """Where a block's payload lies, how long it is there, and how long it becomes."""

    offset: int
    length: int
    raw_length: int


def compress_block(raw: bytes) -> tuple[bytes, BlockType]:
    """What to store of a block, and how: as it is where LZ4 does not make it smaller."""
    packed = lz4.block.compress(raw, store_size=False)
    if len(packed) < len(raw) - len(raw) // 16:
        return packed, LZ4
    return raw, RAW


def block_trailer(payload: bytes, kind: BlockType, table_id: bytes, offset: int) -> bytes:
    """Goes behind the payload of a block that begins at `offset`."""
    type_byte = b"\1" if kind is LZ4 else b"\0"
    checksum = kernels.crc32c(type_byte, kernels.crc32c(payload, _seed(table_id, offset)))
    return type_byte + checksum.to_bytes(4, "little")


def open_block(sealed: bytes | memoryview, table_id: bytes, handle: BlockHandle) -> tuple[Bytes, BlockType]:
    """The raw block out of what lies at `handle`, trailer included; raises CorruptionError.

    Where the block is stored as it is, the raw block is a view of `sealed`.
    """
    length = handle.length
    if len(sealed) != length + TRAILER_BYTES:
        raise CorruptionError(
            "a block is cut", offset=handle.offset, expected=length + TRAILER_BYTES, got=len(sealed)
        )

    # The seed is the table and the offset: a block that stands in another place fails as well.
    kind, checksum = _TRAILER.unpack_from(sealed, length)
    view = memoryview(sealed)
    actual = kernels.crc32c(view[: length + 1], _seed(table_id, handle.offset))
    if actual != checksum:
        raise CorruptionError("block checksum", offset=handle.offset, expected=checksum, got=actual)

    raw: Bytes
    if kind == RAW:
        raw = view[:length]
    elif kind == LZ4:
        # No room is made for a length that LZ4 cannot reach.
        if handle.raw_length > length * _LZ4_RATIO_MAX:
            raise CorruptionError(
                "a block does not decompress to its length",
                offset=handle.offset,
                expected=handle.raw_length,
                got=f"at most {length * _LZ4_RATIO_MAX}",
            )
        try:
            raw = lz4.block.decompress(view[:length], uncompressed_size=handle.raw_length)
        except (lz4.block.LZ4BlockError, ValueError, OverflowError) as error:
            raise CorruptionError(f"a block does not decompress: {error}", offset=handle.offset) from None
    else:
        raise CorruptionError("unknown block type", offset=handle.offset, got=kind)

    if len(raw) != handle.raw_length:
        raise CorruptionError("block length", offset=handle.offset, expected=handle.raw_length, got=len(raw))
    return raw, LZ4 if kind else RAW


def _seed(table_id: bytes, offset: int) -> int:
    return kernels.crc32c(table_id + offset.to_bytes(8, "little"))


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
        raise NewerFormatError(f"table of version {version}; this program reads up to {VERSION}")
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
