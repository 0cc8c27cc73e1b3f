"""The primary that replicas of the scripts follow: its frames, its states, and copies of it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from replicad.replication.wire.headers import FileEntry
from replicad.store.copies.checkpoint import list_files
from replicad.types import Position
from tests.crash.script import DATA, Families, Script, frames_of, options
from tests.faults.run import BIG
from tests.support.files.memory_filesystem import Image

COPY = Path("/copy")
BATCHES = 16
BASE = 2
"""Batches that the base copy in DATA holds."""
COPIED = 12
"""Batches that the later copy holds."""


@dataclass(frozen=True)
class Primary:
    """`states[n]` is its content after n batches, `positions[n]` where it was then, and `frames[n]` led from
    there to the next."""

    frames: tuple[bytes, ...]
    states: tuple[Families, ...]
    positions: tuple[Position, ...]
    base: Image
    """A replica's file system: a copy of the beginning, in DATA."""
    copy: dict[FileEntry, bytes]
    """The files of a later copy, as they are fetched."""

    def rank(self, position: Position) -> int | None:
        """How many batches led there; None when the primary never was there."""
        return self.positions.index(position) if position in self.positions else None


@cache
def primary() -> Primary:
    script = Script(options(), path=Path("/primary"))
    states = [deepcopy(script.families)]
    base: Image = {}
    copy: dict[FileEntry, bytes] = {}
    for number in range(BATCHES):
        if number == BASE:
            script.database.create_base_copy(DATA)
            base = {path: data for path, data in script.fs.image().items() if path.startswith(f"{DATA}/")}
        if number == COPIED:
            script.database.create_base_copy(COPY)
            copy = {
                FileEntry(file.name, file.size_bytes, file.sha256): script.fs.read_file(COPY / file.name)
                for file in list_files(script.fs, COPY)
            }
        if number == 6:
            script.create_family("one")
        elif number == 11:
            script.drop_family("one")
        elif number % 3 == 2:
            script.write((b"key-%d" % number, BIG), (b"key-0", None), annotation=b"%d" % number)
        else:
            script.put(b"key-%d" % (number % 4), BIG + b"%d" % number)
        states.append(deepcopy(script.families))
    positions = tuple(known.position for known in script.history.states)
    frames = tuple(frames_of(script.database))
    assert len(states) == len(positions) == len(frames) + 1
    return Primary(frames, tuple(states), positions, base, copy)
