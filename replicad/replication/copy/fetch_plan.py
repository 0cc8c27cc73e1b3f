"""Which bytes of a copy are asked for next, over which connection: pure, no I/O.

    missing ──claim──> a file belongs to one connection ──received to its end──> done
       ^                            │
       └──────release───────────────┘   (the connection broke: the file goes on where it stands)

A file arrives in order over one connection at a time, so its length on disk says how far it is. Files are
asked for in pieces; `copy_window` says how many of them may be under way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FileRange:
    """`length` bytes from `offset` of the file with this index in the list."""

    entry: int
    offset: int
    length: int


class FetchPlan:
    """`sizes` are those of the files to fetch, by index; `here` says how much of one is here already."""

    def __init__(self, sizes: Mapping[int, int], here: Mapping[int, int], *, piece_bytes: int) -> None:
        self._sizes = dict(sizes)
        self._piece_bytes = piece_bytes
        self._received = {entry: here.get(entry, 0) for entry in sizes}
        self._missing = deque(sizes)
        self._current: dict[object, tuple[int, int]] = {}
        self._asked: dict[object, deque[FileRange]] = {}

    def claim(self, connection: object) -> FileRange | None:
        """What this connection asks for next; None when nothing is left for it."""
        entry, offset = self._current.get(connection, (-1, 0))
        if entry < 0 or offset == self._sizes[entry]:
            if not self._missing:
                return None
            entry = self._missing.popleft()
            offset = self._received[entry]
        piece = FileRange(entry, offset, min(self._piece_bytes, self._sizes[entry] - offset))
        self._current[connection] = (entry, offset + piece.length)
        self._asked.setdefault(connection, deque()).append(piece)
        return piece

    def expected(self, connection: object) -> FileRange | None:
        """What comes next over this connection: the rest of the oldest piece it asked for."""
        asked = self._asked.get(connection)
        return asked[0] if asked else None

    def received(self, connection: object, length: int) -> bool:
        """Takes note of `length` bytes of what was expected; whether the file is complete now."""
        piece = self._asked[connection].popleft()
        assert length <= piece.length
        if length < piece.length:
            rest = FileRange(piece.entry, piece.offset + length, piece.length - length)
            self._asked[connection].appendleft(rest)
        self._received[piece.entry] = piece.offset + length
        return self._received[piece.entry] == self._sizes[piece.entry]

    def release(self, connection: object) -> None:
        """The connection is gone; the files that it did not finish are for the others."""
        entries = {piece.entry for piece in self._asked.pop(connection, ())}
        entry, _ = self._current.pop(connection, (-1, 0))
        entries |= {entry} - {-1}
        unfinished = [entry for entry in entries if self._received[entry] < self._sizes[entry]]
        self._missing.extendleft(sorted(unfinished, reverse=True))


def another_helps(rates: list[float], connections: int, most: int) -> bool:
    """Whether one more connection is worth a try. `rates` are bytes a second, one for each number of
    connections so far: the last must have gained a tenth over the one before."""
    if connections >= most:
        return False
    return len(rates) < 2 or rates[-1] > 1.1 * rates[-2]
