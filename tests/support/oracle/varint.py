"""Varints and bounds-checked reading."""

from __future__ import annotations


class Malformed(Exception):
    """Bytes that no writer makes."""


def encode(value: int) -> bytes:
    """LEB128, unsigned, in as few bytes as possible."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class Reader:
    """Takes values off the front of `data`."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def __bool__(self) -> bool:
        return self.at < len(self.data)

    def take(self, size: int) -> bytes:
        if self.at + size > len(self.data):
            raise Malformed("past the end")
        self.at += size
        return self.data[self.at - size : self.at]

    def varint(self, bits: int) -> int:
        """A varint below 2**bits in its shortest form."""
        start = self.at
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        if value >= 2**bits or encode(value) != self.data[start : self.at]:
            raise Malformed("varint out of range, or longer than needed")
        return value

    def sized(self, limit: int) -> bytes:
        """A varint32 length of at most `limit`, then that many bytes."""
        size = self.varint(32)
        if size > limit:
            raise Malformed("longer than its limit")
        return self.take(size)
