"""The one owner of the live segment: appends frames, rotates, and makes them durable.

Appending is guarded by the store's write lock; syncing by being done by one thread at a time. What is durable
is told to the catalog, so that tailing readers never see more.
"""

from __future__ import annotations

import errno
import threading
from pathlib import Path

from typing_extensions import Buffer

from replicad import kernels
from replicad.env import AppendFile, Env
from replicad.errors import DiskFullError, PoisonedError
from replicad.store.wal.catalog import LogCatalog
from replicad.store.wal.segment import HEADER_BYTES, Segment, SegmentHeader, segment_name
from replicad.types import DatabaseId, Epoch, HistoryHash, Position, Sequence


class LogWriter:
    """`frames` numbers, stamps and chains; this writes what it has encoded."""

    def __init__(
        self,
        env: Env,
        catalog: LogCatalog,
        database_id: DatabaseId,
        position: Position,
        commit_time_us: int,
        segment_bytes: int,
    ) -> None:
        self.frames = kernels.FrameWriter(
            database_id, position.epoch, position.sequence, position.history_hash, commit_time_us
        )
        self.catalog = catalog
        self._fs = env.fs
        self._database_id = database_id
        self._segment_bytes = segment_bytes
        self._written: tuple[int, int, int] = (position.epoch, position.sequence, position.history_hash)
        self._file: AppendFile | None = None
        self._segment: Segment | None = None
        self._segment_epoch = Epoch(0)
        self._unsynced: list[tuple[AppendFile, Segment, Sequence]] = []
        """Sealed, but not yet durable: (file, segment, its last sequence number), oldest first."""
        self._unnamed = False
        """A segment was made since the directory was synced last."""
        self._lock = threading.Lock()

    @property
    def written(self) -> Position:
        """After the last frame that was written (and perhaps not synced)."""
        epoch, sequence, history_hash = self._written
        return Position(Epoch(epoch), Sequence(sequence), HistoryHash(history_hash))

    def append_pending(self) -> None:
        """Writes what `frames` holds. On failure nothing of it is kept and the position is what it was.

        Raises DiskFullError, or PoisonedError when it is unknown what the file holds now.
        """
        frames = self.frames
        self._append(frames.pending(), (frames.epoch, frames.sequence, frames.history_hash))

    def append_frames(self, data: Buffer, position: Position, commit_time_us: int) -> None:
        """Writes another node's frames, all of one epoch, which end at `position`."""
        self._append(data, (position.epoch, position.sequence, position.history_hash))
        self.frames.reset(position.epoch, position.sequence, position.history_hash, commit_time_us)

    def restart(self, position: Position, commit_time_us: int) -> None:
        """Goes on after what recovery read."""
        self._written = (position.epoch, position.sequence, position.history_hash)
        self.frames.reset(position.epoch, position.sequence, position.history_hash, commit_time_us)

    def sync(self) -> Position:
        """Makes durable what is written now and returns its position. One thread at a time.

        Raises OSError, after which the store must not acknowledge anything more.
        """
        with self._lock:
            target = self.written
            sealed = list(self._unsynced)
            live, segment = self._file, self._segment
            live_size = live.size if live is not None else 0
            unnamed, self._unnamed = self._unnamed, False
        for file, _, _ in sealed:
            file.sync()
        if live is not None:
            live.sync()
        if unnamed:
            self._fs.sync_directory(self.catalog.live)
        for file, done, last in sealed:
            done.end = (file.size, last)
            done.sealed = True
        with self._lock:
            del self._unsynced[: len(sealed)]
        for file, _, _ in sealed:
            file.close()
        if segment is not None:
            segment.end = (live_size, target.sequence)
        return target

    def extent(self) -> list[tuple[Segment, int]]:
        """Every segment with the bytes of it that are written now. Under the store's write lock."""
        with self._lock:
            sizes = {id(segment): file.size for file, segment, _ in self._unsynced}
            if self._file is not None:
                sizes[id(self._segment)] = self._file.size
        return [(segment, sizes.get(id(segment), segment.size_bytes)) for segment in self.catalog.segments()]

    def close(self) -> None:
        """Closes files; does not sync."""
        for file, _, _ in self._unsynced:
            file.close()
        if self._file is not None:
            self._file.close()
            self._file = None

    def rotate(self) -> None:
        """The next frame goes to a new segment."""
        with self._lock:
            if self._file is not None and self._segment is not None:
                self._unsynced.append((self._file, self._segment, Sequence(self._written[1])))
                self._file = None
                self._segment = None

    def _append(self, data: Buffer, after: tuple[int, int, int]) -> None:
        file = self._file
        if file is None or file.size >= self._segment_bytes or self._segment_epoch != after[0]:
            file = self._start_segment(Epoch(after[0]))
        try:
            # `sync` reads both under the lock: a position and the size that it is true for belong together.
            with self._lock:
                file.append(data)
                self._written = after
        except OSError as error:
            self._refuse(file, error)

    def _start_segment(self, epoch: Epoch) -> AppendFile:
        self.rotate()
        previous = self.written
        path = self.catalog.live / segment_name(epoch, Sequence(previous.sequence + 1))
        header = SegmentHeader(self._database_id, epoch, previous)
        try:
            file = self._create(path, header)
        except OSError as error:
            self.frames.rollback()
            raise _as_store_error(error, path) from error
        segment = Segment(path, header, (HEADER_BYTES, previous.sequence), sealed=False)
        with self._lock:
            self._file, self._segment, self._unnamed = file, segment, True
            self._segment_epoch = epoch
        self.catalog.add(segment)
        return file

    def _create(self, path: Path, header: SegmentHeader) -> AppendFile:
        file = self._fs.create(path)
        try:
            file.append(header.encode())
        except OSError:
            file.close()
            self._fs.unlink(path)
            raise
        return file

    def _refuse(self, file: AppendFile, error: OSError) -> None:
        self.frames.rollback()
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise PoisonedError(f"{file.path}: append failed: {error}") from error
        try:
            file.discard_tail()
        except OSError as second:
            raise PoisonedError(f"{file.path}: a partial append could not be cut back: {second}") from second
        raise _as_store_error(error, file.path) from error


def _as_store_error(error: OSError, path: Path) -> DiskFullError | PoisonedError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(f"{path}: no room to write the log; free some and try again")
    return PoisonedError(f"{path}: {error}")
