"""The filter of a table in plain Python, as `proto/table.md` defines it."""

from __future__ import annotations

import struct
from collections.abc import Collection

import xxhash

from tests.support.oracle.varint import Malformed

MULTIPLIER = 0x9E3779B97F4A7C15
LINE_BYTES = 64
PROBES_MAX = 16


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
    probes = min(PROBES_MAX, max(1, bits_per_key * 6 // 10))
    lines = bytearray(LINE_BYTES * line_count)
    for key in keys:
        for bit in bits_of(key, line_count, probes):
            lines[bit // 8] |= 1 << bit % 8
    return bytes(lines) + struct.pack("<IB", line_count, probes)


def parse_filter(raw: bytes) -> tuple[int, int]:
    """(line count, probes) of a filter that is not empty; raises Malformed if it is not one."""
    if len(raw) < 5:
        raise Malformed("too short")
    line_count, probes = struct.unpack_from("<IB", raw, len(raw) - 5)
    if line_count == 0 or len(raw) != LINE_BYTES * line_count + 5 or not 1 <= probes <= PROBES_MAX:
        raise Malformed("line count or probes")
    return line_count, probes


def may_contain(raw: bytes, key: bytes) -> bool:
    """False only if no key with this hash went into the filter."""
    return not raw or all(raw[bit // 8] >> bit % 8 & 1 for bit in bits_of(key, *parse_filter(raw)))
