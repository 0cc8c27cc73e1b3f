"""Tailing: raw frames from any sequence number on, across rotation and archiving, up to what is durable or
what is written.

A cursor belongs to one thread or task at a time. It never skips: what it cannot deliver is an error.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from replicad.env import ReadFile
from replicad.errors import CorruptionError, LogGoneError
from replicad.store.wal.catalog import LogCatalog
from replicad.store.wal.frames import FrameWalk, LogChunk
from replicad.store.wal.segment import HEADER_BYTES, Segment
from replicad.types import DatabaseId, Sequence

MARK_BYTES = 256 * 1024
READ_BYTES_MIN = 4096


@dataclass(slots=True)
class _OpenSegment:
    """Where a cursor is."""

    segment: Segment
    file: ReadFile
    walk: FrameWalk


class LogCursor:
    """Raw frames, beginning with the one that holds `start`."""

    def __init__(
        self, catalog: LogCatalog, database_id: DatabaseId, start: Sequence, *, written: bool = False
    ) -> None:
        """With `written` also frames that are not durable yet, which a loss of power may take; it may be
        changed between two calls of `next`."""
        self._catalog = catalog
        self._database_id = database_id
        self._start = start
        self.written = written
        self._at: _OpenSegment | None = None
        if len(catalog):
            catalog.holding(start)

    def next(self, bytes_max: int = MARK_BYTES) -> LogChunk | None:
        """The next frames, about `bytes_max` bytes and one at least; None when nothing follows yet.

        Raises LogGoneError when retention was faster, CorruptionError when the log is damaged here.
        """
        at = self._at
        if at is None and (at := self._seek()) is None:
            return None
        while True:
            # In this order: once a segment has ended its end does not move any more.
            ended = self._has_ended(at.segment)
            end = self._end_of(at.segment)
            if at.walk.offset < end:
                at.walk.end = end
                return self._read(at, max(bytes_max, READ_BYTES_MIN))
            if not ended:
                return None
            last = at.segment.last_sequence if at.segment.sealed else at.walk.last
            if (following := self._catalog.after(at.segment, last)) is None:
                return None
            if following.header.previous.sequence != at.walk.last:
                raise LogGoneError(at.walk.last + 1, following.first_sequence)
            at = self._enter(following)

    def close(self) -> None:
        at, self._at = self._at, None
        if at is not None:
            at.file.close()

    def _has_ended(self, segment: Segment) -> bool:
        return segment.sealed or (self.written and segment.left)

    def _end_of(self, segment: Segment) -> int:
        return segment.written_bytes if self.written else segment.size_bytes

    def _enter(self, segment: Segment) -> _OpenSegment:
        file = self._catalog.open(segment)
        if self._at is not None:
            self._at.file.close()
        last = segment.header.previous.sequence
        walk = FrameWalk(file.read, self._end_of(segment), self._database_id, last, HEADER_BYTES)
        self._at = _OpenSegment(segment, file, walk)
        return self._at

    def _seek(self) -> _OpenSegment | None:
        if not len(self._catalog):
            return None
        segment = self._catalog.holding(self._start)
        if self.written and segment.file is not None:
            # Nothing says which number the written frames end with: the walk finds out.
            at = self._seek_within(segment)
            if at.walk.last + 1 < self._start and at.walk.offset == at.walk.end:
                self.close()
                return None
            return at
        end, last = segment.end
        if last < self._start and not segment.sealed:
            nothing_before = end == HEADER_BYTES or last + 1 < self._start
            return None if nothing_before else self._seek_within(segment)
        if last < self._start and self._catalog.after(segment, last) is None:
            return None
        return self._seek_within(segment)

    def _seek_within(self, segment: Segment) -> _OpenSegment:
        at = self._enter(segment)
        last, offset = nearest_mark(at.file, segment, self._database_id, self._start)
        walk = at.walk = FrameWalk(at.file.read, self._end_of(segment), self._database_id, last, offset)
        while walk.last + 1 < self._start:
            if not walk.skip(through=self._start - 1, window_bytes=MARK_BYTES):
                break
        if walk.damaged:
            raise CorruptionError(walk.reason, path=segment.path, offset=walk.offset)
        return at

    def _read(self, at: _OpenSegment, bytes_max: int) -> LogChunk:
        walk = at.walk
        last, offset = walk.last, walk.offset
        chunk = walk.next(window_bytes=bytes_max)
        if chunk is None:
            if walk.damaged:
                raise CorruptionError(walk.reason, path=at.segment.path, offset=offset)
            raise CorruptionError(
                "a frame is cut short",
                path=at.segment.path,
                offset=offset,
                expected=walk.end - offset,
                got=at.file.size() - offset,
            )
        # Each frame is right in itself, and still some may be missing before them.
        if chunk.first_sequence != last + 1:
            raise CorruptionError(
                "sequence number out of order",
                path=at.segment.path,
                offset=offset,
                expected=last + 1,
                got=chunk.first_sequence,
            )
        return chunk


def nearest_mark(
    file: ReadFile, segment: Segment, database_id: DatabaseId, sequence: Sequence
) -> tuple[Sequence, int]:
    """(last sequence number before, offset) of a frame at or before the one that holds `sequence`.

    Extends the segment's sparse index as far as needed; a segment is walked once in its life at most.
    """
    marks = segment.marks
    if not marks:
        marks.append((segment.header.previous.sequence, HEADER_BYTES))
    last, offset = marks[-1]
    walk = FrameWalk(file.read, segment.end[0], database_id, last, offset)
    while walk.last + 1 < sequence and walk.end - walk.offset > MARK_BYTES:
        if not walk.skip(window_bytes=MARK_BYTES):
            break
        # Two readers may extend the index at once: a mark that another one made already is not added again.
        if walk.last > marks[-1][0]:
            marks.append((walk.last, walk.offset))
    at = bisect_right(marks, sequence - 1, key=lambda mark: mark[0]) - 1
    return marks[max(at, 0)]
