"""A whole table file in plain Python, as `proto/table.md` defines it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import lz4.block
import msgpack

from tests.support.oracle.block import Entry, decode_block
from tests.support.oracle.checksums import crc32c
from tests.support.oracle.index import BlockHandle, decode_index
from tests.support.oracle.varint import Malformed

FOOTER_BYTES = 80


@dataclass
class TableFile:
    """What a table file holds."""

    table_id: bytes
    entries: list[Entry]
    blocks: list[tuple[bytes, int, int, int]]
    filter: bytes
    properties: dict[str, object]


def read_block(data: bytes, table_id: bytes, handle: BlockHandle) -> bytes:
    """The raw block; raises Malformed when its checksum or its length is wrong."""
    end = handle.offset + handle.length
    payload, kind = data[handle.offset : end], data[end : end + 1]
    checksum = crc32c(table_id + struct.pack("<Q", handle.offset) + payload + kind)
    if struct.pack("<I", checksum) != data[end + 1 : end + 5]:
        raise Malformed("checksum of a block")
    if kind == b"\x01":
        payload = lz4.block.decompress(payload, uncompressed_size=handle.raw_length)
    elif kind != b"\x00":
        raise Malformed("type of a block")
    if len(payload) != handle.raw_length:
        raise Malformed("length of a block")
    return payload


def read_table(data: bytes) -> TableFile:
    """Reads all of a table; raises Malformed when it breaks a rule of the format."""
    footer = data[-FOOTER_BYTES:]
    magic, version, table_id, *handles, checksum = struct.unpack("<8sI16sQIIQIIQIII", footer)
    if magic != b"RPLCDSST" or version != 1 or checksum != crc32c(footer[:-4]):
        raise Malformed("footer")
    raw_filter, raw_index, raw_properties = (
        read_block(data, table_id, BlockHandle(*handles[at : at + 3])) for at in (0, 3, 6)
    )
    blocks = decode_index(raw_index)
    entries = [
        entry
        for _, *handle in blocks
        for entry in decode_block(read_block(data, table_id, BlockHandle(*handle)))
    ]
    return TableFile(table_id, entries, blocks, raw_filter, msgpack.unpackb(raw_properties))
