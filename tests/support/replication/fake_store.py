"""A database in memory with a real log: what replication needs of a store, and ways to hold it back."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from replicad import kernels
from replicad.errors import CorruptionError, DivergedError, GapError, LogGoneError
from replicad.store.copies.checkpoint import CopyFile
from replicad.store.database import Database
from replicad.types import Epoch, EpochRecord, HistoryHash, Position, Sequence

ZERO = Position(Epoch(1), Sequence(0), HistoryHash(0))


@dataclass(frozen=True)
class FakeChunk:
    frames: bytes
    first_sequence: int
    last_sequence: int
    batches: int


@dataclass(frozen=True)
class FakeLogFile:
    first_sequence: Sequence
    last_sequence: Sequence
    size_bytes: int


def log_file(first: int, last: int, size_bytes: int) -> FakeLogFile:
    return FakeLogFile(Sequence(first), Sequence(last), size_bytes)


@dataclass
class Frame:
    before: Position
    after: Position
    data: bytes


class FakeCursor:
    def __init__(self, store: FakeStore, start: int) -> None:
        self.store = store
        self.next_sequence = start
        self.written = False
        self.closed = False

    def next(self, bytes_max: int, /) -> FakeChunk | None:
        store = self.store
        if self.next_sequence < store.oldest_log_sequence:
            raise LogGoneError(self.next_sequence, store.oldest_log_sequence)
        found: list[Frame] = []
        size = 0
        end = store.position.sequence if self.written else store.durable_sequence
        for frame in store.frames:
            if frame.after.sequence < self.next_sequence or frame.after.sequence > end:
                continue
            if found and size + len(frame.data) > bytes_max:
                break
            found.append(frame)
            size += len(frame.data)
        if not found:
            return None
        self.next_sequence = found[-1].after.sequence + 1
        return FakeChunk(
            b"".join(frame.data for frame in found),
            found[0].before.sequence + 1,
            found[-1].after.sequence,
            len(found),
        )

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeStore:
    """`auto_sync` makes every batch durable at once; without it `sync()` does."""

    database_id: bytes = b"d" * 16
    position: Position = ZERO
    auto_sync: bool = True
    epochs: tuple[EpochRecord, ...] = ()
    stalled: str | None = None
    refused: str | None = None
    failed: BaseException | None = None
    frames: list[Frame] = field(default_factory=list)
    oldest: int = 1
    callbacks: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.durable_position = self.position
        self.cursors: list[FakeCursor] = []
        self.applied_sizes: list[int] = []
        self.hurried = False

    def as_database(self) -> Database:
        """For what takes the class itself: what replication uses of a database is here."""
        return cast(Database, self)

    def cut_back(self, position: Position) -> bool:
        """Whether the tail after `position` was in the log only."""
        kept = [frame for frame in self.frames if frame.after.sequence <= position.sequence]
        self.frames, self.position = kept, position
        self.durable_position = position
        return True

    @property
    def durable_sequence(self) -> int:
        return self.durable_position.sequence

    @property
    def latest_sequence(self) -> int:
        return self.position.sequence

    @property
    def oldest_log_sequence(self) -> int:
        return max(
            self.oldest, self.frames[0].before.sequence + 1 if self.frames else self.position.sequence + 1
        )

    def write(self, *values: bytes) -> Position:
        """One batch of puts, appended as the primary would."""
        last = self.position
        writer = kernels.FrameWriter(self.database_id, last.epoch, last.sequence, last.history_hash)
        batch = kernels.Batch()
        for number, value in enumerate(values):
            batch.put(b"%d" % (last.sequence + number), value)
        writer.add_batch(batch, 1, 0)
        after = Position(Epoch(writer.epoch), Sequence(writer.sequence), HistoryHash(writer.history_hash))
        self._append(Frame(last, after, writer.pending()))
        return after

    def sync(self) -> None:
        self.durable_position = self.position
        self.notify()

    def notify(self) -> None:
        for callback in list(self.callbacks):
            callback()

    def forget_log_before(self, sequence: int) -> None:
        self.oldest = sequence
        self.frames = [frame for frame in self.frames if frame.after.sequence >= sequence]

    def subscribe(self, callback: Callable[[], None], /) -> Callable[[], None]:
        self.callbacks.append(callback)
        return lambda: self.callbacks.remove(callback)

    def read_log(self, start: int, /) -> FakeCursor:
        if start < self.oldest_log_sequence:
            raise LogGoneError(start, self.oldest_log_sequence)
        cursor = FakeCursor(self, start)
        self.cursors.append(cursor)
        return cursor

    @property
    def flushed_sequence(self) -> int:
        return self.position.sequence

    log_kept_bytes = 0
    log_room_bytes = 1 << 40
    reviews = 0

    def review_retention(self) -> None:
        self.reviews += 1

    def position_at(self, sequence: int, /) -> Position | None:
        if sequence == self.position.sequence:
            return self.position
        for frame in self.frames:
            if frame.before.sequence == sequence:
                return frame.before
            if frame.before.sequence < sequence <= frame.after.sequence:
                return frame.after
        return None

    def get_sorted_wal_files(self) -> list[FakeLogFile]:
        return [
            log_file(frame.before.sequence + 1, frame.after.sequence, len(frame.data))
            for frame in self.frames
        ]

    def apply_frames(self, frames: bytes, /) -> Position:
        last = self.position
        scan = kernels.scan_frames(frames, self.database_id, last.epoch, last.sequence, last.history_hash)
        if scan.stop == kernels.SCAN_BAD_CHAIN:
            raise (GapError if scan.first_sequence != last.sequence + 1 else DivergedError)(scan.reason)
        if scan.stop != kernels.SCAN_END:
            raise CorruptionError(scan.reason, offset=scan.end)
        self.applied_sizes.append(len(frames))
        for epoch, first, count, _, history_hash, begin, end in kernels.list_frames(frames):
            after = Position(Epoch(epoch), Sequence(first + max(1, count) - 1), HistoryHash(history_hash))
            self._append(
                Frame(self.position, after, bytes(frames[begin - kernels.FRAME_HEADER_BYTES : end])),
                quiet=True,
            )
        self.notify()
        return self.position

    def hurry_sync(self) -> None:
        self.hurried = True

    def create_base_copy(self, path: Path, /) -> Position:
        path.mkdir(parents=True)
        for number in range(3):
            content = hashlib.sha256(b"%d" % number).digest() * 1000 * (number + 1)
            (path / f"{number:06d}.sst").write_bytes(content)
        (path / "CURRENT").write_bytes(f"{self.database_id.hex()} {self.durable_position}".encode())
        return self.durable_position

    @classmethod
    def opened(cls, path: Path) -> FakeStore:
        """The store that a checkpoint opens as."""
        database, position = (path / "CURRENT").read_text().split()
        return cls(database_id=bytes.fromhex(database), position=Position.parse(position))

    def _append(self, frame: Frame, *, quiet: bool = False) -> None:
        self.frames.append(frame)
        self.position = frame.after
        if self.auto_sync:
            self.durable_position = frame.after
        if not quiet:
            self.notify()


def list_files(directory: Path) -> list[CopyFile]:
    return [
        CopyFile(path.name, path.stat().st_size, hashlib.sha256(path.read_bytes()).digest())
        for path in sorted(directory.iterdir())
    ]
