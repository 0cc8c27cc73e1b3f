"""Tails that another history replaced: saved in the data directory until its operator removes them."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from replicad import kernels
from replicad.env import FileSystem
from replicad.errors import CorruptionError
from replicad.options import MIB
from replicad.store.wal.segment import HEADER_BYTES

DISCARDED = "discarded"
"""Where they are, in the data directory: a directory for each, with a segment for each epoch in it."""
COUNTED_BYTES_MAX = 64 * MIB
"""Batches of a larger file are not counted: the file is named all the same."""


@dataclass(frozen=True, slots=True)
class Discarded:
    """All that is there."""

    batches: int = 0
    files: tuple[str, ...] = ()


def what_was_discarded(fs: FileSystem, directory: Path) -> Discarded:
    """Reads the files; the batches of a file that cannot be read are not counted. Blocks."""
    batches, found = 0, {directory / name: size for name, size in fs.files(directory).items()}
    for path, size_bytes in found.items():
        if size_bytes <= COUNTED_BYTES_MAX:
            with contextlib.suppress(CorruptionError, OSError):
                batches += len(kernels.list_frames(fs.read_file(path)[HEADER_BYTES:]))
    return Discarded(batches, tuple(sorted(map(str, found))))
