"""Log that a replica has received and not applied yet: segments of its own, in a directory of its own.

    received/      the batches after one position of the store's history, up to the newest that came
    the store      applied: a prefix of them, maybe, and never more

Whole frames are appended as they came, checked by their caller. `sync` makes them durable; only then may they
be acknowledged so. They are read from here, applied to the store, and go when the store has them durably. So
a batch that is durable here and not in the store is never lost, and one that is in both is found by its
number.

The files are segments (`proto/log.md`), one for each epoch at least: `replicad inspect` reads them. After a
crash they are synced, and read whole. What does not continue the chain is a tail that was never acknowledged,
or damage, which is kept in `quarantine/` (`opening`); it is cut off, and comes again from the primary.

One thread at a time appends, trims or cuts; another may sync or read meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from replicad import kernels
from replicad.env import AppendFile, FileSystem, ReadFile
from replicad.env.atomic import rewrite_file
from replicad.errors import CorruptionError, PoisonedError
from replicad.store.copies.saved_log import SavedLog, save_frames
from replicad.store.wal.doubt import doubt
from replicad.store.wal.frames import FrameWalk, LogChunk
from replicad.store.wal.segment import HEADER_BYTES, SegmentHeader, segment_name
from replicad.store.wal.writer import as_store_error
from replicad.store.write.control import decode_epoch
from replicad.types import DatabaseId, Epoch, EpochRecord, OperationKind, Position, Sequence


@dataclass(slots=True)
class Piece:
    """One file: the batches after `begin` through `end`, of one epoch."""

    path: Path
    epoch: Epoch
    begin: Position
    end: Position
    size_bytes: int
    file: AppendFile | None = None
    """While it is written, and until all of it is durable."""


class ReceivedLog:
    """Empty, or a chain of batches without a gap."""

    def __init__(
        self, fs: FileSystem, directory: Path, database_id: DatabaseId, *, segment_bytes: int
    ) -> None:
        """Makes and reads nothing: `open_received` does."""
        self._fs = fs
        self.directory = self._directory = directory
        self.database_id = self._database_id = database_id
        self._segment_bytes = segment_bytes
        self._pieces: list[Piece] = []
        self._syncing = threading.Lock()
        """Held while files are synced, and while files go: a file must not be closed under a sync."""
        self._lock = threading.Lock()
        """Guards the list, and what follows. Never held for long."""
        self._unsynced: list[AppendFile] = []
        self._names_changed = False
        self._durable: Position | None = None
        self._epochs: list[EpochRecord] = []

    @property
    def begin(self) -> Position | None:
        """The position before the first batch; None while there is nothing."""
        pieces = self._pieces
        return pieces[0].begin if pieces else None

    @property
    def end(self) -> Position | None:
        """The position after the last batch; None while there is nothing."""
        pieces = self._pieces
        return pieces[-1].end if pieces else None

    @property
    def durable(self) -> Position | None:
        """How far a crash leaves it; None while there is nothing."""
        return self._durable

    @property
    def epochs(self) -> tuple[EpochRecord, ...]:
        """Those that begin in it."""
        return tuple(self._epochs)

    @property
    def size_bytes(self) -> int:
        return sum(piece.size_bytes for piece in self._pieces)

    def append(self, frames: bytes, after: Position, before: Position) -> None:
        """Appends checked frames of one epoch, which continue `before` and end at `after`.

        Raises DiskFullError, and nothing has changed then, or PoisonedError.
        """
        piece = self._live(before, after)
        assert piece.file is not None
        try:
            piece.file.append(frames)
        except OSError as error:
            failure = as_store_error(error, piece.path)
            try:
                piece.file.discard_tail()
            except OSError:
                failure = PoisonedError(f"{piece.path}: what a failed append left could not be cut: {error}")
            raise failure from error

        with self._lock:
            piece.end, piece.size_bytes = after, piece.file.size
            self._epochs += epochs_in(frames)
            if piece.file not in self._unsynced:
                self._unsynced.append(piece.file)

    def _live(self, before: Position, after: Position) -> Piece:
        """The piece that takes the next frames: a full one, and one of another epoch, is left."""
        last = self._pieces[-1] if self._pieces else None
        assert last is None or last.end == before
        fits = last is not None and last.epoch == after.epoch and last.size_bytes < self._segment_bytes
        if last is not None and last.file is not None:
            if fits:
                return last
            # A sync that is still to come closes it.
            with self._lock:
                if last.file not in self._unsynced:
                    last.file.close()
        # Its first append failed: a file without a batch is not part of the chain.
        if last is not None and last.begin == last.end:
            self._forget(last)

        fs = self._fs
        fs.make_directories(self._directory)
        path = self._directory / segment_name(after.epoch, Sequence(before.sequence + 1))
        header = SegmentHeader(self._database_id, after.epoch, before)
        try:
            # A crash may have left a file of this name without a whole frame.
            fs.unlink(path)
            file = fs.create(path)
            file.append(header.encode())
        except OSError as error:
            raise as_store_error(error, path) from error
        piece = Piece(path, after.epoch, before, before, HEADER_BYTES, file)
        with self._lock:
            self._pieces.append(piece)
            self._names_changed = True
            if self._durable is None:
                self._durable = before
        return piece

    def sync(self) -> None:
        """Returns when everything appended before the call is durable. Raises PoisonedError."""
        with self._syncing:
            self._sync()

    def _sync(self) -> None:
        with self._lock:
            target, files = self.end, list(self._unsynced)
            names, self._names_changed = self._names_changed, False
        if target is None or (not files and not names):
            return
        try:
            for file in files:
                file.sync()
            if names:
                self._fs.sync_directory(self._directory)
        except OSError as error:
            # The kernel may hold the pages as clean now: the next opening writes them again.
            doubt(self._fs, self._directory)
            raise PoisonedError(f"{self._directory}: sync failed: {error}") from error

        with self._lock:
            if self._pieces:
                self._durable = target
            live = self._pieces[-1].file if self._pieces else None
            for file in files:
                if file is not live:
                    file.close()
                    self._unsynced.remove(file)
                elif self.end == target:
                    self._unsynced.remove(file)

    @property
    def needs_sync(self) -> bool:
        return bool(self._unsynced) or self._names_changed

    def read(self, after: Position) -> Iterator[LogChunk]:
        """Whole frames after that position, some at a time, up to what was appended when each was read.

        Raises CorruptionError where they are not what was written.
        """
        cursor = ReceivedCursor(self, after)
        try:
            while (chunk := cursor.next()) is not None:
                yield chunk
        finally:
            cursor.close()

    def holding(self, at: Position) -> Piece | None:
        """The piece with the first batch after `at`."""
        with self._lock:
            return next((piece for piece in self._pieces if piece.end.sequence > at.sequence), None)

    def open_piece(self, piece: Piece) -> tuple[ReadFile, FrameWalk]:
        file = self._fs.open(piece.path)
        return file, FrameWalk(file.read, piece.size_bytes, self._database_id, piece.begin, HEADER_BYTES)

    def position_at(self, sequence: int) -> Position | None:
        """The position after the batch that ends with that number; None when no batch here does."""
        with self._lock:
            pieces = list(self._pieces)
        for piece in pieces:
            if piece.begin.sequence == sequence:
                return piece.begin
            if piece.end.sequence < sequence:
                continue
            file, walk = self.open_piece(piece)
            try:
                at = piece.begin
                while at.sequence < sequence and (chunk := walk.next(through=sequence)) is not None:
                    at = chunk.position
                return at if at.sequence == sequence else None
            finally:
                file.close()
        return None

    def trim(self, through: int) -> None:
        """Removes the pieces that end at that number or before it, which the store has durably; the one that
        is written stays until it is worth a removal."""
        with self._syncing:
            while self.may_trim(through):
                # Its name is gone durably before the next one goes: a crash must not leave a gap between
                # an older piece and a newer one, or the newer one would count as damage.
                self._forget(self._pieces[0])
                self._fs.sync_directory(self._directory)

    def may_trim(self, through: int) -> bool:
        """Whether `trim` would find something to remove."""
        pieces = self._pieces
        if not pieces or pieces[0].end.sequence > through:
            return False
        return len(pieces) > 1 or pieces[0].size_bytes >= min(self._segment_bytes, _WORTH_A_REMOVAL_BYTES)

    def clear(self) -> None:
        """Removes all of it, the newest first: a crash leaves a chain."""
        with self._syncing:
            self._clear()

    def _clear(self) -> None:
        while self._pieces:
            self._forget(self._pieces[-1])
        with self._lock:
            self._durable, self._epochs, self._names_changed = None, [], False
        if self._fs.exists(self._directory):
            self._fs.sync_directory(self._directory)

    def _forget(self, piece: Piece) -> None:
        with self._lock:
            self._pieces.remove(piece)
            if piece.file is not None and piece.file in self._unsynced:
                self._unsynced.remove(piece.file)
            if not self._pieces:
                self._durable, self._epochs = None, []
        if piece.file is not None:
            piece.file.close()
        self._fs.unlink(piece.path)

    def cut_back(self, position: Position) -> None:
        """Removes everything after a position that it went through; the newest goes first."""
        with self._syncing:
            self._sync()
            self._cut_back(position)

    def _cut_back(self, position: Position) -> None:
        while self._pieces and self._pieces[-1].begin.sequence >= position.sequence:
            self._forget(self._pieces[-1])
        if not self._pieces:
            self._clear()
            return
        last = self._pieces[-1]
        if last.end != position:
            cut_at = self._offset_of(last, position)
            if last.file is not None:
                last.file.close()
            rewrite_file(self._fs, last.path, cut_at)
            with self._lock:
                last.end, last.size_bytes, last.file = position, cut_at, None
        self._fs.sync_directory(self._directory)
        with self._lock:
            self._durable = position
            self._epochs = [record for record in self._epochs if record.epoch <= position.epoch]

    def _offset_of(self, piece: Piece, position: Position) -> int:
        file, walk = self.open_piece(piece)
        try:
            at = piece.begin
            while at.sequence < position.sequence and (chunk := walk.next(through=position.sequence)):
                at = chunk.position
            assert at == position
            return walk.offset
        finally:
            file.close()

    def check(self, after: Position) -> None:
        """Reads all after that position; raises CorruptionError where it is not what was written."""
        for _ in self.read(after):
            pass

    def save(self, after: Position, directory: Path) -> SavedLog:
        """Writes the batches after that position to segment files in `directory`, synced, and counts them."""
        last = self.end
        assert last is not None
        return save_frames(self._fs, self._database_id, after, last, self.read(after), directory)

    def close(self) -> None:
        """Closes files; does not sync."""
        for piece in self._pieces:
            if piece.file is not None:
                piece.file.close()
                piece.file = None

    def take_over(self, pieces: list[Piece], epochs: list[EpochRecord]) -> None:
        """What an opening found, all of it durable."""
        self._pieces, self._epochs = pieces, epochs
        self._unsynced, self._names_changed = [], False
        self._durable = pieces[-1].end if pieces else None


class ReceivedCursor:
    """Reads what waits, in order, once; it goes on when more is appended. Of one thread at a time.

    What is trimmed under it stays readable; after `clear` and `cut_back` it must not be used.
    """

    def __init__(self, received: ReceivedLog, after: Position) -> None:
        self.at = after
        """The position after the last frame that was given."""
        self._received = received
        self._piece: Piece | None = None
        self._file: ReadFile | None = None
        self._walk: FrameWalk | None = None

    def next(self) -> LogChunk | None:
        """Some frames of one epoch, at least one; None at the end. Raises CorruptionError."""
        piece = self._received.holding(self.at)
        if piece is None:
            return None
        if piece is not self._piece or self._walk is None:
            self.close()
            self._piece = piece
            self._file, self._walk = self._received.open_piece(piece)
            self._skip(piece, self._walk)

        walk = self._walk
        walk.end = piece.size_bytes
        chunk = walk.next(window_bytes=_WINDOW_BYTES)
        if chunk is None:
            reason = walk.reason or "an incomplete frame"
            raise CorruptionError(f"received log: {reason}", path=piece.path, offset=walk.offset)
        self.at = chunk.position
        return chunk

    def _skip(self, piece: Piece, walk: FrameWalk) -> None:
        found = piece.begin
        while found.sequence < self.at.sequence and (chunk := walk.next(through=self.at.sequence)):
            found = chunk.position
        # A piece that begins later does not continue it, and neither does another history.
        if found != self.at:
            reason = "received log does not continue what was applied"
            raise CorruptionError(reason, path=piece.path, expected=self.at, got=found)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._piece = self._file = self._walk = None


_WINDOW_BYTES = 256 * 1024
"""What is applied at a time: a few milliseconds of frames."""
_WORTH_A_REMOVAL_BYTES = 64 * 1024


def epochs_in(frames: bytes) -> list[EpochRecord]:
    """The records of the epochs that begin in these checked frames."""
    controls = kernels.inspect_frames(frames).controls
    return [decode_epoch(value or b"") for _, kind, _, _, value in controls if kind == OperationKind.EPOCH]
