"""The index of a table in plain Python, as `proto/table.md` defines it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from tests.support.oracle import varint
from tests.support.oracle.block import Entry, shared_bytes
from tests.support.oracle.varint import Malformed, Reader

BLOCK_TRAILER_BYTES = 5


class BlockHandle(NamedTuple):
    """Where a block's payload is in the file, and its length decompressed."""

    offset: int
    length: int
    raw_length: int


def separator(last: bytes, following: bytes) -> bytes:
    """The shortest prefix of `following` that divides the two keys, or `last` when that is no longer."""
    length = shared_bytes(last, following) + 1
    return following[:length] if length < min(len(last), len(following)) else last


def separators(blocks: Sequence[Sequence[Entry]]) -> list[bytes]:
    """What the index says of each block of a table."""
    between = [separator(a[-1].key, b[0].key) for a, b in pairwise(blocks)]
    return [*between, blocks[-1][-1].key]


def encode_index(keys: Sequence[bytes], handles: Sequence[BlockHandle]) -> bytes:
    out = bytearray(struct.pack("<I", len(keys)))
    for key, handle in zip(keys, handles, strict=True):
        out += varint.encode(len(key)) + key + struct.pack("<QII", *handle)
    return bytes(out)


def decode_index(raw: bytes) -> list[tuple[bytes, int, int, int]]:
    """(separator, offset, length, raw length) of every block; raises Malformed if it is not an index."""
    reader = Reader(raw)
    (count,) = struct.unpack("<I", reader.take(4))
    if count == 0:
        raise Malformed("no block")
    blocks: list[tuple[bytes, int, int, int]] = []
    end = 0
    for _ in range(count):
        key = reader.sized(2**32 - 1)
        handle = BlockHandle(*struct.unpack("<QII", reader.take(16)))
        if (blocks and key < blocks[-1][0]) or not end <= handle.offset <= 2**62:
            raise Malformed("order")
        end = handle.offset + handle.length + BLOCK_TRAILER_BYTES
        blocks.append((key, *handle))
    if reader:
        raise Malformed("bytes after the end")
    return blocks
