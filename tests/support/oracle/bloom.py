"""The filter of a table in plain Python, as `proto/table.md` defines it."""

from __future__ import annotations

import struct
from collections.abc import Collection

import xxhash

MULTIPLIER = 0x9E3779B97F4A7C15
LINE_BYTES = 64


def bits_of(key: bytes, line_count: int, probes: int) -> list[int]:
    """The bits of the filter that belong to a key."""
    key_hash = xxhash.xxh64_intdigest(key, 0)
    line = (key_hash >> 32) * line_count >> 32
    bits = []
    for _ in range(probes):
        key_hash = key_hash * MULTIPLIER % 2**64
        bits.append(line * LINE_BYTES * 8 + (key_hash >> 55))
    return bits


def build_filter(keys: Collection[bytes], bits_per_key: int) -> bytes:
    """The raw filter of distinct user keys."""
    if bits_per_key == 0:
        return b""
    line_count = -(-max(1, len(keys)) * bits_per_key // (LINE_BYTES * 8))
    probes = min(16, max(1, bits_per_key * 6 // 10))
    lines = bytearray(LINE_BYTES * line_count)
    for key in keys:
        for bit in bits_of(key, line_count, probes):
            lines[bit // 8] |= 1 << bit % 8
    return bytes(lines) + struct.pack("<IB", line_count, probes)


def may_contain(raw: bytes, key: bytes) -> bool:
    if not raw:
        return True
    line_count, probes = struct.unpack_from("<IB", raw, len(raw) - 5)
    return all(raw[bit // 8] >> bit % 8 & 1 for bit in bits_of(key, line_count, probes))
