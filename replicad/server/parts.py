"""A part of a value, as GETRANGE counts its places."""

from __future__ import annotations


def part_of(value: bytes, first: int, last: int) -> tuple[int, bytes]:
    """(length of the value, its bytes from `first` through `last`), as the store's `part` of a key."""
    if last < first < 0:
        return len(value), b""
    begin, end = (max(0, at + len(value)) if at < 0 else at for at in (first, last))
    return len(value), value[begin : end + 1]
