"""Cutting a closed database's log back to an earlier position, so that it can follow another history from
there.

This is possible where the tables do not hold anything after the position. What lies after it is gone
afterwards: `Database.save_log` saves it before.

The order makes a crash harmless. The manifest goes first: it says that what was synced ends at the position.
From then on the log after it is not owed to anybody, and an opening in between finds a log that is longer
than it has to be. The log goes after it, the newest segment first, so that what a crash leaves is a shorter
log and never one with a gap.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from replicad.env import Env, FileSystem
from replicad.env.atomic import rewrite_file
from replicad.errors import DivergedError, InvalidArgument
from replicad.options import Options
from replicad.store.copies.checkpoint import write_state
from replicad.store.directory.log_place import wal_dir_of
from replicad.store.manifest.file import load, remove_stale_manifests
from replicad.store.open.opening import lock_directory
from replicad.store.open.steps import find_log
from replicad.store.wal.frames import FrameWalk, frame_headers
from replicad.store.wal.segment import HEADER_BYTES, Segment
from replicad.types import DatabaseId, Position


def cut_back(env: Env, path: Path, options: Options, position: Position) -> None:
    """The database in `path` ends at `position` afterwards, as a copy that follows from there.

    Raises InvalidArgument when tables hold more than that, DivergedError when the log never went through the
    position, and LockedError while the database is open. Nothing has changed then.
    """
    path = path.absolute()
    fs = env.fs
    lock = lock_directory(env, path, options)
    try:
        state = load(fs, path)
        if state.flushed.sequence > position.sequence:
            raise InvalidArgument(f"the tables hold everything through {state.flushed}, beyond {position}")

        # Segments that begin at the position or after it go whole. Only the last one of the others can reach
        # beyond it.
        wal = wal_dir_of(path, options)
        segments, _ = find_log(fs, wal, path / "archive", state, 0.0)
        beyond = [segment for segment in segments if segment.header.previous.sequence >= position.sequence]
        kept = [segment for segment in segments if segment not in beyond]

        # The number alone proves nothing: the log must have gone through this very position, or the database
        # would follow with a history that is not the one it names.
        cut_at = _end_of(fs, kept[-1], state.database_id, position) if kept else None
        if cut_at is None and position != state.flushed:
            if not any(segment.header.previous == position for segment in beyond):
                raise DivergedError(f"the log did not go through {position}")
        elif cut_at is None and kept:  # Damage to what tables hold: the chain does not lead there.
            cut_at = _beginning_after(fs, kept[-1], state.database_id, position)

        # Epochs that began after the position have not begun here.
        epochs = tuple(record for record in state.epochs if record.epoch <= position.epoch)
        write_state(fs, path, replace(state, synced=position, copy=True, epochs=epochs))
        remove_stale_manifests(fs, path)
        for segment in reversed(beyond):
            fs.unlink(segment.path)

        # The rest goes into a new file, since the old one may be hard-linked. A segment that ends at the
        # position already is not written again.
        if cut_at is not None and cut_at < kept[-1].size_bytes:
            rewrite_file(fs, kept[-1].path, cut_at)
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
