"""Log that is about to be discarded, saved as segment files elsewhere, which `replicad inspect` reads.

One file for each epoch in it, named and headed as a segment that begins there, in a directory named by the
last position. Saving the same again writes the same files.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from replicad.env import AppendFile, FileSystem
from replicad.errors import DivergedError
from replicad.store.core import Core
from replicad.store.updates import check_start, position_at
from replicad.store.wal.cursor import LogCursor
from replicad.store.wal.frames import LogChunk
from replicad.store.wal.segment import SegmentHeader, segment_name
from replicad.types import DatabaseId, Position, Sequence

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedLog:
    """What was saved: the batches after one position through another."""

    after: Position
    last: Position
    batches: int
    size_bytes: int
    files: tuple[Path, ...]


def save_log(core: Core, after: Position, directory: Path) -> SavedLog:
    """See `Database.save_log`."""
    fs = core.env.fs
    last = core.progress.durable_position
    found = position_at(core, after.sequence)
    if found is not None and found != after:
        raise DivergedError(f"the log went through {found}, not through {after}")

    if last == after:
        return SavedLog(after=after, last=last, batches=0, size_bytes=0, files=())

    start = Sequence(after.sequence + 1)
    check_start(core, start)
    cursor = LogCursor(core.catalog, core.database_id, start)
    try:
        chunks = iter(lambda: cursor.next(CHUNK_BYTES), None)
        return save_frames(fs, core.database_id, after, last, chunks, directory)
    finally:
        cursor.close()


def save_frames(
    fs: FileSystem,
    database_id: DatabaseId,
    after: Position,
    last: Position,
    chunks: Iterable[LogChunk],
    directory: Path,
) -> SavedLog:
    """Writes the frames after `after` through `last` into a directory of their own in `directory`."""
    directory = directory / f"{last.epoch}-{last.sequence}-{last.history_hash:016x}"
    fs.make_directories(directory)

    files: list[Path] = []
    writer: AppendFile | None = None
    at, batches, size_bytes = after, 0, 0
    try:
        for chunk in chunks:
            # An epoch begins a new segment, in these files as in the log.
            if writer is None or chunk.position.epoch != at.epoch:
                _finish(writer)
                path = directory / segment_name(chunk.position.epoch, Sequence(at.sequence + 1))
                fs.unlink(path)
                writer = fs.create(path)
                writer.append(SegmentHeader(database_id, chunk.position.epoch, at).encode())
                files.append(path)

            writer.append(chunk.frames)
            at, batches, size_bytes = chunk.position, batches + chunk.batches, size_bytes + len(chunk.frames)
            if at.sequence >= last.sequence:
                break
    finally:
        _finish(writer)

    fs.sync_directory(directory)
    return SavedLog(after=after, last=at, batches=batches, size_bytes=size_bytes, files=tuple(files))


def _finish(writer: AppendFile | None) -> None:
    if writer is not None:
        writer.sync()
        writer.close()
