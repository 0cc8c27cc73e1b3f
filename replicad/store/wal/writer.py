"""The one owner of the live segment: starts it, rotates it, and makes what is in it durable.

Puts and batches are encoded and appended in one call of the kernel (`kernels.Appender`). This file appends
what is left pending there, and the frames of other nodes.

Everything is guarded by the store's write lock, which is given, except the syncing itself, which one thread
at a time does. The catalog learns what is durable, so tailing readers see more only where they ask for it.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import NamedTuple, NoReturn

from replicad import kernels
from replicad.env import AppendFile, Env, is_no_room
from replicad.errors import DiskFullError, PoisonedError
from replicad.store.wal.catalog import LogCatalog
from replicad.store.wal.doubt import doubt
from replicad.store.wal.segment import HEADER_BYTES, Segment, SegmentHeader, segment_name
from replicad.types import DatabaseId, Epoch, HistoryHash, Position, Sequence

WORTH_A_SEGMENT_BYTES = 1 << 20
"""Less than this is read in a millisecond or two; many small flushes shall not make many small segments."""


class ToSync(NamedTuple):
    """What makes everything durable through `target`."""

    target: Position
    sealed: list[tuple[AppendFile, Segment, Sequence]]
    live: AppendFile | None
    segment: Segment | None
    """That of `live`."""
    live_size: int


class LogWriter:
    """`frames` numbers, stamps, chains and encodes frames; this owns the file that they go to."""

    def __init__(
        self,
        env: Env,
        catalog: LogCatalog,
        database_id: DatabaseId,
        position: Position,
        commit_time_us: int,
        segment_bytes: int,
        lock: threading.RLock,
    ) -> None:
        self.frames = kernels.FrameWriter(
            database_id, position.epoch, position.sequence, position.history_hash, commit_time_us
        )

        self.catalog = catalog
        self._fs = env.fs
        self._database_id = database_id
        self.segment_bytes = segment_bytes
        """A segment that has reached it is full: the next frame should go to a new one."""
        self._before_pending = position
        """Where the next segment begins, while there is no live one."""

        self.live_file: AppendFile | None = None
        """The kernel's Appender writes to it, under the lock, and adds to its `size`."""
        self._segment: Segment | None = None
        self._unsynced: list[tuple[AppendFile, Segment, Sequence]] = []
        """Sealed, but not yet durable: (file, segment, its last sequence number), oldest first."""
        self._unnamed = False
        """A segment was made since the directory was synced last."""
        self._rotated_bytes = 0
        self._lock = lock

    @property
    def appended_bytes(self) -> int:
        """Bytes of frames written since opening."""
        file = self.live_file
        return self._rotated_bytes + (file.size - HEADER_BYTES if file is not None else 0)

    @property
    def written(self) -> Position:
        """After the last frame that was written (and perhaps not synced): all of one moment, without a
        lock."""
        epoch, sequence, history_hash = self.frames.written
        return Position(Epoch(epoch), Sequence(sequence), HistoryHash(history_hash))

    def append_pending(self) -> bool:
        """Writes what `frames` holds; returns whether the segment is full now.

        On failure nothing of it is kept and the position is what it was.
        Raises DiskFullError, or PoisonedError when it is unknown what the file holds now.
        """
        file = self.live_file or self.start_segment()
        try:
            return file.append(self.frames.pending()) >= self.segment_bytes
        except OSError as error:
            self.refuse(error)

    def refuse(self, error: OSError) -> NoReturn:
        """Takes back what is pending after its append failed; raises as `append_pending`."""
        self.frames.rollback()
        path = self.catalog.live if self.live_file is None else self.live_file.path
        self.cut_back(error)
        raise as_store_error(error, path) from error

    def cut_back(self, error: BaseException | None) -> None:
        """Removes what a failed append left behind the last whole frame.

        Raises PoisonedError when `error` says that it is unknown what the file holds.
        """
        file = self.live_file
        if file is None:
            return
        if isinstance(error, OSError) and not is_no_room(error):
            raise PoisonedError(f"{file.path}: append failed: {error}") from error
        try:
            file.discard_tail()
            if file.size == HEADER_BYTES:
                self.rotate()
        except OSError as second:
            raise PoisonedError(f"{file.path}: a partial append could not be cut back: {second}") from second

    def append_frames(self, data: bytes, position: Position, commit_time_us: int) -> None:
        """Writes another node's frames, all of one epoch, which end at `position`."""
        if self._segment is not None and self._segment.header.epoch != position.epoch:
            self.rotate()
        file = self.live_file or self.start_segment(position.epoch)
        try:
            file.append(data)
        except OSError as error:
            self.refuse(error)
        self.frames.reset(position.epoch, position.sequence, position.history_hash, commit_time_us)

    def restart(self, position: Position, commit_time_us: int) -> None:
        """Goes on after what recovery read. There is no live segment yet."""
        assert self.live_file is None
        self._before_pending = position
        self.frames.reset(position.epoch, position.sequence, position.history_hash, commit_time_us)

    def sync(self) -> Position:
        """Makes durable what is written now and returns its position. One thread at a time.

        Raises OSError, after which the store must not acknowledge anything more.
        """
        # Under the lock it is only noted what to sync: writers do not wait for the disk.
        with self._lock:
            noted = self._note()
            unnamed, self._unnamed = self._unnamed, False
        try:
            for file, _, _ in noted.sealed:
                file.sync()
            if noted.live is not None:
                noted.live.sync()

            # A crash may take the name of a new segment away, and all its frames with it.
            if unnamed:
                self._fs.sync_directory(self.catalog.live)
        except BaseException as error:
            with self._lock:
                self._unnamed = self._unnamed or unnamed
            if isinstance(error, OSError):
                self.doubt()
            raise
        self.synced(noted)
        return noted.target

    def one_to_sync(self) -> ToSync | None:
        """What is written now, if to make it durable the live file is all that has to be synced."""
        with self._lock:
            if self._unsynced or self._unnamed or self.live_file is None:
                return None
            return self._note()

    def _note(self) -> ToSync:
        """Under the lock."""
        live_size = self.live_file.size if self.live_file is not None else 0
        return ToSync(self.written, list(self._unsynced), self.live_file, self._segment, live_size)

    def synced(self, noted: ToSync) -> None:
        """Tailing readers see the new ends only now that they are durable."""
        for file, done, last in noted.sealed:
            done.end = (file.size, last)
            done.sealed = True
            done.file = None

        if noted.sealed:
            with self._lock:
                del self._unsynced[: len(noted.sealed)]
            for file, _, _ in noted.sealed:
                file.close()
        if noted.segment is not None:
            noted.segment.end = (noted.live_size, noted.target.sequence)

    def doubt(self) -> None:
        """After a sync that failed: the kernel may hold the pages as clean now, and a later sync would say
        that all is well."""
        doubt(self._fs, self.catalog.live)

    def extent(self) -> list[tuple[Segment, int]]:
        """Every segment with the bytes of it that are written now. Under the lock."""
        sizes = {id(segment): file.size for file, segment, _ in self._unsynced}
        if self.live_file is not None:
            sizes[id(self._segment)] = self.live_file.size
        return [(segment, sizes.get(id(segment), segment.size_bytes)) for segment in self.catalog.segments()]

    def close(self) -> None:
        """Closes files; does not sync."""
        for file, _, _ in self._unsynced:
            file.close()
        if self.live_file is not None:
            self.live_file.close()
            self._leave_segment()

    def rotate(self) -> None:
        """The next frame goes to a new segment. Under the lock, nothing pending.

        A segment that got no frame goes: the next one may have its name, or be of an earlier epoch.
        """
        file, segment = self.live_file, self._segment
        if file is None or segment is None:
            return
        if file.size > HEADER_BYTES:
            self._rotated_bytes += file.size - HEADER_BYTES
            self._before_pending = self.written
        else:
            self._fs.unlink(file.path)
            self.catalog.take_back(segment)
            self._unnamed = True
        self._unsynced.append((file, segment, self._before_pending.sequence))
        segment.left = True
        self._leave_segment()

    def rotate_when_full(self) -> bool:
        """Whether it was full. Under the lock, nothing pending."""
        if self.live_file is not None and self.live_file.size >= self.segment_bytes:
            self.rotate()
            return True
        return False

    def rotate_when_worthwhile(self) -> None:
        """When memtables are sealed: recovery would read the segment only to skip what tables hold by then.

        Under the lock, nothing pending.
        """
        if self.live_file is not None and self.live_file.size >= WORTH_A_SEGMENT_BYTES:
            self.rotate()

    def _leave_segment(self) -> None:
        self.live_file = self._segment = None

    def start_segment(self, epoch: Epoch | None = None) -> AppendFile:
        """For a frame of `epoch`, by default that of `frames`; raises as `append_pending`."""
        epoch = Epoch(self.frames.epoch) if epoch is None else epoch
        previous = self._before_pending
        path = self.catalog.live / segment_name(epoch, Sequence(previous.sequence + 1))
        header = SegmentHeader(self._database_id, epoch, previous)
        try:
            file = self._create(path, header)
        except OSError as error:
            self.frames.rollback()
            raise as_store_error(error, path) from error
        segment = Segment(path, header, (HEADER_BYTES, previous.sequence), sealed=False, file=file)
        self.live_file, self._segment, self._unnamed = file, segment, True
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


def as_store_error(error: OSError, path: Path) -> DiskFullError | PoisonedError:
    if is_no_room(error):
        return DiskFullError(f"{path}: no room to write the log; free some and try again")
    return PoisonedError(f"{path}: append failed: {error}")
