"""Cutting a closed database's log back to an earlier position, where its tables do not reach beyond it.

The manifest first: from then on what was synced ends at the position, and until the log is cut the old log
is what opens. Then the log, the newest segment first, so that what is left is never a gap. What lies after
the position is gone afterwards: `Database.save_log` saves it before.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from replicad.env import Env, FileSystem
from replicad.env.atomic import copy_file
from replicad.errors import DivergedError, InvalidArgument
from replicad.options import Options
from replicad.store.copies.checkpoint import write_state
from replicad.store.directory.log_place import wal_dir_of
from replicad.store.manifest.file import load, remove_stale_manifests
from replicad.store.open.opening import find_log, lock_directory
from replicad.store.wal.frames import FrameWalk, frame_headers
from replicad.store.wal.segment import HEADER_BYTES, Segment
from replicad.types import DatabaseId, Position


def cut_back(env: Env, path: Path, options: Options, position: Position) -> None:
    """The database in `path` ends at `position` afterwards, and follows from there.

    Raises InvalidArgument when tables hold more than that, DivergedError when the log never went through the
    position, LockedError while it is open; nothing has changed then.
    """
    path = path.absolute()
    fs = env.fs
    lock = lock_directory(env, path, options)
    try:
        state = load(fs, path)
        if state.flushed.sequence > position.sequence:
            raise InvalidArgument(f"the tables hold everything through {state.flushed}, beyond {position}")
        wal = wal_dir_of(path, options)
        segments, _ = find_log(fs, wal, path / "archive", state, 0.0)
        beyond = [segment for segment in segments if segment.header.previous.sequence >= position.sequence]
        kept = [segment for segment in segments if segment not in beyond]
        cut_at = _end_of(fs, kept[-1], state.database_id, position) if kept else None
        if cut_at is None and position != state.flushed:
            if not any(segment.header.previous == position for segment in beyond):
                raise DivergedError(f"the log did not go through {position}")
        elif cut_at is None and kept:  # Damage to what tables hold: the chain does not lead there.
            cut_at = _beginning_after(fs, kept[-1], state.database_id, position)
        epochs = tuple(record for record in state.epochs if record.epoch <= position.epoch)
        write_state(fs, path, replace(state, synced=position, copy=True, epochs=epochs))
        remove_stale_manifests(fs, path)
        for segment in reversed(beyond):
            fs.unlink(segment.path)
        if cut_at is not None and cut_at < kept[-1].size_bytes:
            _cut(fs, kept[-1].path, cut_at)
        fs.sync_directory(wal)
    finally:
        lock.release()


def _end_of(fs: FileSystem, segment: Segment, database_id: DatabaseId, position: Position) -> int | None:
    """The offset after the frame that ends at `position`, or None when the segment has no such frame."""
    file = fs.open(segment.path)
    try:
        at = segment.header.previous
        walk = FrameWalk(file.read, file.size(), database_id, at, HEADER_BYTES)
        while at.sequence < position.sequence:
            chunk = walk.next(through=position.sequence)
            if chunk is None:
                return None
            at = chunk.position
        return walk.offset if at == position else None
    finally:
        file.close()


def _beginning_after(
    fs: FileSystem, segment: Segment, database_id: DatabaseId, position: Position
) -> int | None:
    """The offset of the frame that follows `position` by its number, or None when there is none."""
    file = fs.open(segment.path)
    try:
        for offset, header in frame_headers(file, HEADER_BYTES, file.size(), database_id):
            if header.first_sequence == position.sequence + 1:
                return offset
        return None
    finally:
        file.close()


def _cut(fs: FileSystem, path: Path, size_bytes: int) -> None:
    """Into a new file: what is there may be hard-linked."""
    staged = path.with_name(path.name + ".tmp")
    fs.unlink(staged)
    copy_file(fs, path, staged, size_bytes)
    fs.rename(staged, path)
