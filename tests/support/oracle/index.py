"""The index of a table in plain Python, as `proto/table.md` defines it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from tests.support.oracle.block import Entry, decode_varint, encode_varint, shared_bytes


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
        out += encode_varint(len(key)) + key + struct.pack("<QII", *handle)
    return bytes(out)


def decode_index(raw: bytes) -> list[tuple[bytes, int, int, int]]:
    """(separator, offset, length, raw length) of every block; ValueError if it is not an index."""
    try:
        (count,) = struct.unpack_from("<I", raw)
        at = 4
        blocks: list[tuple[bytes, int, int, int]] = []
        for _ in range(count):
            length, at = decode_varint(raw, at)
            if at + length > len(raw):
                raise ValueError("a separator runs past the end")
            key = raw[at : at + length]
            handle = BlockHandle(*struct.unpack_from("<QII", raw, at + length))
            at += length + 16
            if blocks and (key < blocks[-1][0] or handle.offset < blocks[-1][1] + blocks[-1][2] + 5):
                raise ValueError("order")
            if handle.offset > 2**62:
                raise ValueError("offset")
            blocks.append((key, *handle))
    except struct.error as error:
        raise ValueError("too short") from error
    if count == 0 or at != len(raw):
        raise ValueError("length")
    return blocks
