"""The log as updates: batch after batch, annotations included."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from replicad import kernels
from replicad.errors import InvalidArgument, LogGoneError
from replicad.store.batch import WriteBatch, batch_from
from replicad.store.core import Core
from replicad.store.wal.cursor import LogCursor
from replicad.types import Epoch, HistoryHash, Position, Sequence

CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Update:
    """One batch of the log. `position` is the one after it; `commit_time` is microseconds since 1970."""

    position: Position
    first_sequence: Sequence
    commit_time: int
    batch: WriteBatch


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
    and CorruptionError for damage; it never skips. One thread at a time.
    """

    def __init__(self, core: Core, start: Sequence, *, keeps: object = None) -> None:
        """`keeps` is not dropped before this is: the database."""
        check_start(core, start)
        self._keeps = keeps
        self._core = core
        self._cursor = LogCursor(core.catalog, core.database_id, start)
        self._ready: deque[Update] = deque()
        self._closed = False

    def __iter__(self) -> UpdateIterator:
        return self

    def __next__(self) -> Update:
        if not self._ready:
            self._fill()
        if not self._ready:
            raise StopIteration
        return self._ready.popleft()

    def next(self, timeout: float | None = None) -> Update | None:
        """The next update, or None when `timeout` seconds passed without one."""
        while True:
            update = next(self, None)
            if update is not None:
                return update
            if not self._wait_beyond(self._core.progress.durable, timeout):
                return None

    def close(self) -> None:
        """It gives nothing any more: InvalidArgument."""
        self._closed = True
        self._ready.clear()
        self._cursor.close()

    def _wait_beyond(self, durable: int, timeout: float | None) -> bool:
        progress = self._core.progress
        self._fill()
        return bool(self._ready) or progress.wait(lambda: progress.durable > durable, timeout)

    def _fill(self) -> None:
        if self._core.progress.closed:
            self._core.progress.raise_if_ended()
        if self._closed:
            raise InvalidArgument("the iterator of updates is closed")
        chunk = self._cursor.next(CHUNK_BYTES)
        if chunk is None:
            return
        for epoch, first, count, commit_time, history_hash, begin, end in kernels.list_frames(chunk.frames):
            last = Sequence(first + max(1, count) - 1)
            self._ready.append(
                Update(
                    Position(Epoch(epoch), last, HistoryHash(history_hash)),
                    Sequence(first),
                    commit_time,
                    batch_from(chunk.frames[begin:end]),
                )
            )


def position_at(core: Core, sequence: Sequence) -> Position | None:
    """The position after the batch that holds `sequence`; None when the log no longer tells."""
    for known in (core.version.flushed, core.progress.durable_position):
        if known.sequence == sequence:
            return known
    for segment in core.catalog.segments():
        if segment.header.previous.sequence == sequence:
            return segment.header.previous
    try:
        check_start(core, sequence)
        cursor = LogCursor(core.catalog, core.database_id, sequence)
        try:
            chunk = cursor.next(1)
        finally:
            cursor.close()
    except LogGoneError:
        return None
    if chunk is None:
        return None
    epoch, first, count, _, history_hash, _, _ = kernels.list_frames(chunk.frames)[0]
    return Position(Epoch(epoch), Sequence(first + max(1, count) - 1), HistoryHash(history_hash))
