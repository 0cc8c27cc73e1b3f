"""Data blocks in plain Python, as `proto/table.md` defines them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from tests.support.oracle import varint
from tests.support.oracle.varint import Malformed, Reader

PUT = 1
DELETE = 2
RESTART_INTERVAL = 16
KEY_BYTES_MAX = 65536


class Entry(NamedTuple):
    """One version of a user key."""

    key: bytes
    sequence: int
    kind: int
    value: bytes


def entry_order(entry: Entry) -> tuple[bytes, int]:
    """Sorts entries as tables hold them: by user key, for equal keys the newest first."""
    return entry.key, -(entry.sequence << 8 | entry.kind)


def shared_bytes(a: bytes, b: bytes) -> int:
    count = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        count += 1
    return count


def encode_entry(entry: Entry, shared: int) -> bytes:
    lengths = shared, len(entry.key) - shared, len(entry.value)
    head = b"".join(varint.encode(length) for length in lengths)
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
    """The entries of a raw block; raises Malformed if one of the rules of the format is broken."""
    if len(raw) < 8:
        raise Malformed("too short")
    (count,) = struct.unpack_from("<I", raw, len(raw) - 4)
    if count == 0 or count > (len(raw) - 4) // 4:
        raise Malformed("restart count")
    end = len(raw) - 4 - 4 * count
    restarts = list(struct.unpack_from(f"<{count}I", raw, end))
    if restarts[0] != 0 or restarts[-1] >= end or sorted(set(restarts)) != restarts:
        raise Malformed("restarts")
    reader = Reader(raw[:end])
    entries: list[Entry] = []
    unseen = set(restarts)
    since_restart = 0
    while reader:
        at_restart = reader.at in unseen
        unseen.discard(reader.at)
        shared, non_shared, value_length = (reader.varint(32) for _ in range(3))
        (trailer,) = struct.unpack("<Q", reader.take(8))
        previous = entries[-1].key if entries else b""
        if shared > len(previous) or (at_restart and shared):
            raise Malformed("shared")
        since_restart = 0 if at_restart else since_restart + 1
        if since_restart == RESTART_INTERVAL:
            raise Malformed("no restart")
        key = previous[:shared] + reader.take(non_shared)
        if len(key) > KEY_BYTES_MAX:
            raise Malformed("key length")
        entry = Entry(key, trailer >> 8, trailer & 0xFF, reader.take(value_length))
        if entry.kind not in (PUT, DELETE):
            raise Malformed("kind")
        if entries and entry_order(entries[-1]) >= entry_order(entry):
            raise Malformed("order")
        entries.append(entry)
    if unseen:
        raise Malformed("a restart between entries")
    return entries
