"""Data blocks in plain Python, as `proto/table.md` defines them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

PUT = 1
DELETE = 2
RESTART_INTERVAL = 16


class Entry(NamedTuple):
    """One version of a user key."""

    key: bytes
    sequence: int
    kind: int
    value: bytes


def entry_order(entry: Entry) -> tuple[bytes, int]:
    """Sorts entries as tables hold them: by user key, for equal keys the newest first."""
    return entry.key, -(entry.sequence << 8 | entry.kind)


def encode_varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode_varint(data: bytes, at: int, bits: int = 32) -> tuple[int, int]:
    """The value at `at` and where it ends; ValueError if it is not the only encoding of its value."""
    value = shift = 0
    while True:
        if at >= len(data):
            raise ValueError("a varint without an end")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> bits or (byte == 0 and shift):
                raise ValueError("a varint that is not canonical")
            return value, at
        shift += 7


def shared_bytes(a: bytes, b: bytes) -> int:
    count = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        count += 1
    return count


def encode_entry(entry: Entry, shared: int) -> bytes:
    head = encode_varint(shared) + encode_varint(len(entry.key) - shared) + encode_varint(len(entry.value))
    return head + struct.pack("<Q", entry.sequence << 8 | entry.kind) + entry.key[shared:] + entry.value


def encode_block(entries: Sequence[Entry]) -> bytes:
    """One raw block of these entries, which are in order."""
    out = bytearray()
    restarts = []
    previous = b""
    for i, entry in enumerate(entries):
        if i % RESTART_INTERVAL == 0:
            restarts.append(len(out))
            previous = b""
        out += encode_entry(entry, shared_bytes(previous, entry.key))
        previous = entry.key
    return bytes(out) + struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))


def split_blocks(entries: Sequence[Entry], block_bytes: int) -> list[list[Entry]]:
    """Deals entries out to blocks: a block ends with the entry that makes it `block_bytes` long or longer."""
    blocks: list[list[Entry]] = []
    open_block: list[Entry] = []
    for entry in entries:
        open_block.append(entry)
        if len(encode_block(open_block)) >= block_bytes:
            blocks.append(open_block)
            open_block = []
    return [*blocks, open_block] if open_block else blocks


def decode_block(raw: bytes) -> list[Entry]:
    """The entries of a raw block; ValueError if it is not exactly what `encode_block` may have written."""
    if len(raw) < 8:
        raise ValueError("too short")
    (count,) = struct.unpack_from("<I", raw, len(raw) - 4)
    if count == 0 or count > (len(raw) - 4) // 4:
        raise ValueError("restart count")
    end = len(raw) - 4 - 4 * count
    restarts = list(struct.unpack_from(f"<{count}I", raw, end))
    if restarts[0] != 0 or restarts[-1] >= end or sorted(set(restarts)) != restarts:
        raise ValueError("restarts")
    body = raw[:end]
    entries: list[Entry] = []
    at = 0
    unseen = set(restarts)
    while at < end:
        start = at
        shared, at = decode_varint(body, at)
        non_shared, at = decode_varint(body, at)
        value_length, at = decode_varint(body, at)
        if at + 8 + non_shared + value_length > end:
            raise ValueError("an entry runs past the end")
        (trailer,) = struct.unpack_from("<Q", body, at)
        at += 8
        previous = entries[-1].key if entries else b""
        if shared > len(previous) or (start in unseen and shared):
            raise ValueError("shared")
        key = previous[:shared] + body[at : at + non_shared]
        at += non_shared
        value = body[at : at + value_length]
        at += value_length
        if trailer & 0xFF not in (PUT, DELETE):
            raise ValueError("kind")
        entry = Entry(key, trailer >> 8, trailer & 0xFF, value)
        if entries and entry_order(entries[-1]) >= entry_order(entry):
            raise ValueError("order")
        entries.append(entry)
        unseen.discard(start)
    if unseen:
        raise ValueError("a restart between entries")
    return entries
