"""The ways in which a file rots: any byte is another one, or two blocks of equal size change places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.rot.check import Wrong, check
from tests.rot.subject import subject

BLOCKS_BYTES = (64, 512)
"""Sizes of the blocks that change places; blocks begin at multiples of their size."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Of `length` bytes at `offset`: those at `other_offset` of `other` stand there; without `other` a single
    byte is changed by exclusive or with `mask`."""

    file: str
    offset: int
    length: int = 1
    mask: int = 0
    other: str = ""
    other_offset: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.offset}:{self.length}:{self.mask}:{self.other}:{self.other_offset}"

    @classmethod
    def parse(cls, text: str) -> Damage:
        file, offset, length, mask, other, other_offset = text.split(":")
        return cls(file, int(offset), int(length), int(mask), other, int(other_offset))

    def result(self) -> bytes:
        files = subject().files
        data = bytearray(files[self.file])
        end = self.offset + self.length
        if not self.other:
            data[self.offset] ^= self.mask
            return bytes(data)
        here = bytes(data[self.offset : end])
        data[self.offset : end] = files[self.other][self.other_offset : self.other_offset + self.length]
        if self.other == self.file:
            data[self.other_offset : self.other_offset + self.length] = here
        return bytes(data)


def flips(every: int = 1, first: int = 0, seed: int = 1) -> Iterator[Damage]:
    """Of every byte, or of every so many-th."""
    number = 0
    for file, data in subject().files.items():
        for offset in range(len(data)):
            if number % every == first % every:
                yield Damage(file, offset, mask=1 + (offset * 97 + seed * 31) % 255)
            number += 1


def swaps(every: int = 1, first: int = 0) -> Iterator[Damage]:
    """Of two blocks of one file, and of a block with that at the same place of a file of its kind."""
    number = 0
    for damage in _swaps():
        if damage.result() != subject().files[damage.file]:
            if number % every == first % every:
                yield damage
            number += 1


def _swaps() -> Iterator[Damage]:
    files = subject().files
    for length in BLOCKS_BYTES:
        for file, data in files.items():
            begins = range(0, len(data) - length + 1, length)
            for offset in begins:
                for other_offset in begins:
                    if offset < other_offset:
                        yield Damage(file, offset, length, other=file, other_offset=other_offset)
                for other, content in files.items():
                    if other != file and _kind(other) == _kind(file) and len(content) >= offset + length:
                        yield Damage(file, offset, length, other=other, other_offset=offset)


def _kind(file: str) -> str:
    """Files of one directory and one ending, such as the tables of a database."""
    directory, _, name = file.rpartition("/")
    return f"{directory} {name.rpartition('.')[2]}"


def judge(damage: Damage) -> tuple[str, str | None]:
    """("right", "corruption" or "wrong", why it is wrong)."""
    try:
        return check(damage.file, damage.result()), None
    except Wrong as wrong:
        return "wrong", str(wrong)
