"""CRC-32C and XXH64, bit by bit and lane by lane."""

from __future__ import annotations

MASK64 = 2**64 - 1


def crc32c(data: bytes, value: int = 0) -> int:
    """CRC-32C of `data`, going on from the checksum `value` of what stands before it."""
    register = value ^ 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


P1, P2, P3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
P4, P5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5


def _rotl(value: int, bits: int) -> int:
    value &= MASK64
    return ((value << bits) | (value >> (64 - bits))) & MASK64


def _round(lane: int, word: int) -> int:
    return _rotl(lane + word * P2, 31) * P1 & MASK64


def xxh64(data: bytes, seed: int = 0) -> int:
    """XXH64, step by step as xxhash_spec.md lists them."""
    at = 0
    if len(data) < 32:
        hash_ = (seed + P5) & MASK64
    else:
        lanes = [(seed + P1 + P2) & MASK64, (seed + P2) & MASK64, seed, (seed - P1) & MASK64]
        while len(data) - at >= 32:
            for i in range(4):
                lanes[i] = _round(lanes[i], int.from_bytes(data[at : at + 8], "little"))
                at += 8
        hash_ = sum(_rotl(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True)) & MASK64
        for lane in lanes:
            hash_ = ((hash_ ^ _round(0, lane)) * P1 + P4) & MASK64
    hash_ = (hash_ + len(data)) & MASK64
    while len(data) - at >= 8:
        hash_ ^= _round(0, int.from_bytes(data[at : at + 8], "little"))
        hash_ = (_rotl(hash_, 27) * P1 + P4) & MASK64
        at += 8
    if len(data) - at >= 4:
        hash_ ^= int.from_bytes(data[at : at + 4], "little") * P1 & MASK64
        hash_ = (_rotl(hash_, 23) * P2 + P3) & MASK64
        at += 4
    for byte in data[at:]:
        hash_ = _rotl(hash_ ^ (byte * P5 & MASK64), 11) * P1 & MASK64
    hash_ = (hash_ ^ (hash_ >> 33)) * P2 & MASK64
    hash_ = (hash_ ^ (hash_ >> 29)) * P3 & MASK64
    return hash_ ^ (hash_ >> 32)
