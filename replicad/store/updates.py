"""The log as updates: batch after batch, annotations included."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from replicad import kernels
from replicad.errors import InvalidArgument, LogGoneError, StoreError
from replicad.store.batch import WriteBatch, batch_from
from replicad.store.core import Core
from replicad.store.wal.cursor import LogCursor
from replicad.types import Epoch, HistoryHash, Operation, OperationKind, Position, Sequence

CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Update:
    """One batch of the log. `position` is the one after it; `commit_time` is microseconds since 1970.

    A change feed with filters leaves out of `batch` what they do not let through.
    """

    position: Position
    first_sequence: Sequence
    commit_time: int
    batch: WriteBatch

    @property
    def operations(self) -> list[Operation]:
        """What the batch changes, in the order put, without its annotations."""
        return [each for each in self.batch.operations if each.kind is not OperationKind.LOG_DATA]

    @property
    def annotations(self) -> list[bytes]:
        """What `put_log_data` put into the batch, in order."""
        return [each.value or b"" for each in self.batch.operations if each.kind is OperationKind.LOG_DATA]


def check_start(core: Core, start: int) -> None:
    """Raises LogGoneError unless the log holds `start` or will hold it next."""
    durable = core.progress.durable
    if start <= durable:
        oldest = core.catalog.oldest_sequence()
        first = durable + 1 if oldest is None else oldest
        if start < first:
            raise LogGoneError(start, first)


class UpdateIterator:
    """Updates from the batch that holds the first sequence number asked for.

    As an iterator it ends where the durable log ends, and goes on when it is asked again; `next(timeout)`
    waits. It follows rotation and archiving. Raises LogGoneError when retention was faster than the reader,
    and CorruptionError for damage; it never skips, nor after an exception from outside. One thread at a time:
    StoreError for another.
    """

    def __init__(self, core: Core, start: Sequence, *, keeps: object = None) -> None:
        """`keeps` is not dropped before this is: the database."""
        check_start(core, start)
        self._keeps = keeps
        self._core = core
        self._wanted = start
        """The next update is the one that holds this."""
        self._cursor: LogCursor | None = LogCursor(core.catalog, core.database_id, start)
        """Behind what is ready; None when a read was broken off, which left it nobody knows where."""
        self._ready: deque[Update] = deque()
        self._closed = False
        self._used = threading.RLock()

    def __iter__(self) -> UpdateIterator:
        return self

    def __next__(self) -> Update:
        if not self._used.acquire(blocking=False):
            raise StoreError("another thread uses this iterator of updates: give each thread one of its own")
        try:
            ready = self._ready
            while ready and ready[0].position.sequence < self._wanted:
                ready.popleft()
            if not ready:
                self._fill()
            if not ready:
                raise StopIteration
            update = ready[0]
        finally:
            self._used.release()
        # Nothing comes between this and the return: until then it would be given again.
        self._wanted = Sequence(update.position.sequence + 1)
        return update

    def next(self, timeout: float | None = None) -> Update | None:
        """The next update, or None when `timeout` seconds passed without one."""
        progress = self._core.progress
        while True:
            durable = progress.durable
            update = next(self, None)
            if update is not None:
                return update
            if not progress.wait_durable(Sequence(durable + 1), timeout):
                return None

    def close(self) -> None:
        """It gives no more updates: asked again, it raises InvalidArgument."""
        self._closed = True
        self._ready.clear()
        cursor, self._cursor = self._cursor, None
        if cursor is not None:
            cursor.close()

    def _fill(self) -> None:
        """Reads the next chunk. While it is under way there is no cursor: when an exception ends it, the next
        call seeks what is wanted anew."""
        core = self._core
        if core.progress.closed:
            core.progress.raise_if_ended()
        if self._closed:
            raise InvalidArgument("the iterator of updates is closed")

        cursor, self._cursor = self._cursor, None
        if cursor is None:
            cursor = LogCursor(core.catalog, core.database_id, self._wanted)

        try:
            chunk = cursor.next(CHUNK_BYTES)
            if chunk is not None:
                self._ready.extend(updates_of(chunk.frames))
        except BaseException:
            cursor.close()
            raise
        self._cursor = cursor


def _position_after(epoch: int, first: int, count: int, history_hash: int) -> Position:
    """The one after a frame."""
    return Position(Epoch(epoch), Sequence(first + max(1, count) - 1), HistoryHash(history_hash))


def updates_of(frames: bytes) -> list[Update]:
    """One for each of these whole frames, which were scanned before."""
    return [
        Update(
            _position_after(epoch, first, count, history_hash),
            Sequence(first),
            commit_time,
            batch_from(frames[begin:end]),
        )
        for epoch, first, count, commit_time, history_hash, begin, end in kernels.list_frames(frames)
    ]


def position_at(core: Core, sequence: Sequence) -> Position | None:
    """The position after the batch that holds `sequence`, durable or not; None when the log does not tell."""
    # Some positions are known without reading a frame.
    for known in (core.version.flushed, core.progress.durable_position, core.written):
        if known.sequence == sequence:
            return known
    for segment in core.catalog.segments():
        if segment.header.previous.sequence == sequence:
            return segment.header.previous

    try:
        check_start(core, sequence)
        cursor = LogCursor(core.catalog, core.database_id, sequence, written=True)
        try:
            chunk = cursor.next(1)
        finally:
            cursor.close()
    except LogGoneError:
        return None

    if chunk is None:
        return None
    frame = kernels.FrameHeader.decode(chunk.frames)
    return Position(Epoch(frame.epoch), Sequence(frame.last_sequence), HistoryHash(frame.history_hash))
