"""What is written: random keys of 16 bytes, and values of which half compresses."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

KEY_BYTES = 16
VALUE_BYTES = 100
_FILLER = b"half of every value compresses well; "


@dataclass(frozen=True, slots=True)
class Records:
    """Pairs in the order written, all keys different; the same for both engines."""

    keys: list[bytes]
    values: list[bytes]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def data_bytes(self) -> int:
        """Of keys and values, before compression."""
        return len(self.keys) * (KEY_BYTES + len(self.values[0])) if self.keys else 0

    def batches(self, count: int) -> Iterator[list[tuple[bytes, bytes]]]:
        """The pairs in lists of `count`."""
        for begin in range(0, len(self.keys), count):
            end = begin + count
            yield list(zip(self.keys[begin:end], self.values[begin:end], strict=True))

    def first(self, count: int) -> Records:
        """The first `count` pairs."""
        return Records(self.keys[:count], self.values[:count])


def make_records(count: int, seed: int, value_bytes: int = VALUE_BYTES) -> Records:
    """`count` pairs; the same for the same seed."""
    source = random.Random(seed)
    keys: set[bytes] = set()
    while len(keys) < count:
        keys.add(source.randbytes(KEY_BYTES))
    shuffled = sorted(keys)
    source.shuffle(shuffled)
    return Records(shuffled, make_values(source, count, value_bytes))


def make_values(source: random.Random, count: int, value_bytes: int = VALUE_BYTES) -> list[bytes]:
    """Values of `value_bytes`, the first half of each random."""
    half = value_bytes // 2
    filler = (_FILLER * (value_bytes // len(_FILLER) + 1))[: value_bytes - half]
    return [source.randbytes(half) + filler for _ in range(count)]


def absent_keys(records: Records, count: int, seed: int) -> list[bytes]:
    """Keys of the same shape that are not among the records."""
    source = random.Random(seed)
    there = set(records.keys)
    keys = (source.randbytes(KEY_BYTES) for _ in iter(int, 1))
    absent: list[bytes] = []
    while len(absent) < count:
        key = next(keys)
        if key not in there:
            absent.append(key)
    return absent


def sample(records: Records, count: int, seed: int) -> list[int]:
    """Random places among the records, with repetition."""
    source = random.Random(seed)
    return [source.randrange(len(records)) for _ in range(count)]
