"""Tailing: raw frames from any sequence number on, across rotation and archiving, up to what is durable.

A cursor belongs to one thread or task at a time. It never skips: what it cannot deliver is an error.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from replicad import kernels
from replicad.env import ReadFile
from replicad.errors import CorruptionError, LogGoneError
from replicad.store.wal.catalog import LogCatalog
from replicad.store.wal.segment import HEADER_BYTES, Segment
from replicad.types import DatabaseId, Epoch, HistoryHash, Position, Sequence

MARK_BYTES = 256 * 1024
READ_BYTES_MIN = 4096
_NOWHERE = (Epoch(0), Sequence(0), HistoryHash(0))


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Whole frames of one segment, hence of one epoch, as they lie in the file."""

    frames: bytes
    first_sequence: Sequence
    position: Position
    """After the last of them."""
    batches: int
    commit_time_us: int

    @property
    def last_sequence(self) -> Sequence:
        return self.position.sequence


class LogCursor:
    """Raw frames, beginning with the one that holds `start`."""

    def __init__(self, catalog: LogCatalog, database_id: DatabaseId, start: Sequence) -> None:
        self._catalog = catalog
        self._database_id = database_id
        self._start = start
        self._segment: Segment | None = None
        self._file: ReadFile | None = None
        self._offset = HEADER_BYTES
        self._last = Sequence(0)
        if len(catalog):
            catalog.holding(start)

    def next(self, bytes_max: int = MARK_BYTES) -> LogChunk | None:
        """The next frames, about `bytes_max` bytes and one at least; None when nothing durable follows.

        Raises LogGoneError when retention was faster, CorruptionError when the log is damaged here.
        """
        segment = self._segment
        if segment is None and (segment := self._seek()) is None:
            return None
        while True:
            sealed = segment.sealed
            end, _ = segment.end
            if self._offset < end:
                return self._read(segment, min(max(bytes_max, READ_BYTES_MIN), end - self._offset), end)
            if not sealed or (following := self._catalog.after(segment)) is None:
                return None
            if following.header.previous.sequence != self._last:
                raise LogGoneError(self._last + 1, following.first_sequence)
            self._enter(following)
            segment = following

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._segment = None

    def _enter(self, segment: Segment) -> None:
        file = self._catalog.open(segment)
        if self._file is not None:
            self._file.close()
        self._file = file
        self._segment = segment
        self._offset = HEADER_BYTES
        self._last = segment.header.previous.sequence

    def _seek(self) -> Segment | None:
        if not len(self._catalog):
            return None
        segment = self._catalog.holding(self._start)
        end, last = segment.end
        if last < self._start and not segment.sealed:
            nothing_before = end == HEADER_BYTES or last + 1 < self._start
            return None if nothing_before else self._seek_within(segment)
        if last < self._start and self._catalog.after(segment) is None:
            return None
        return self._seek_within(segment)

    def _seek_within(self, segment: Segment) -> Segment:
        self._enter(segment)
        assert self._file is not None
        self._last, self._offset = nearest_mark(self._file, segment, self._database_id, self._start)
        end, _ = segment.end
        while self._offset < end and self._last + 1 < self._start:
            data = self._file.read(self._offset, min(MARK_BYTES, end - self._offset))
            scan = kernels.scan_frames(
                data,
                self._database_id,
                *_NOWHERE,
                stop_sequence=self._start - 1,
                check_chain=False,
                check_body=False,
            )
            if scan.frames:
                self._offset += scan.end
                self._last = Sequence(scan.last_sequence)
            if scan.stop == kernels.SCAN_LIMIT or (scan.stop == kernels.SCAN_PARTIAL and not scan.frames):
                break
            raise_if_damaged(scan, segment, self._offset)
        return segment

    def _read(self, segment: Segment, length: int, end: int) -> LogChunk:
        assert self._file is not None
        data = self._file.read(self._offset, length)
        scan = kernels.scan_frames(data, self._database_id, *_NOWHERE, check_chain=False)
        if scan.stop == kernels.SCAN_PARTIAL and not scan.frames and len(data) < end - self._offset:
            data = self._file.read(self._offset, frame_bytes(data, end - self._offset))
            scan = kernels.scan_frames(data, self._database_id, *_NOWHERE, check_chain=False)
        if not scan.frames:
            raise_if_damaged(scan, segment, self._offset)
            raise CorruptionError(
                "a frame is cut short",
                path=segment.path,
                offset=self._offset,
                expected=end - self._offset,
                got=len(data),
            )
        if scan.first_sequence != self._last + 1:
            raise CorruptionError(
                "sequence number out of order",
                path=segment.path,
                offset=self._offset,
                expected=self._last + 1,
                got=scan.first_sequence,
            )
        self._offset += scan.end
        self._last = Sequence(scan.last_sequence)
        return LogChunk(
            data if scan.end == len(data) else data[: scan.end],
            Sequence(scan.first_sequence),
            Position(Epoch(scan.epoch), Sequence(scan.last_sequence), HistoryHash(scan.history_hash)),
            scan.frames,
            scan.commit_time_us,
        )


def raise_if_damaged(scan: kernels.FrameScan, segment: Segment, offset: int) -> None:
    if scan.stop not in (kernels.SCAN_END, kernels.SCAN_PARTIAL, kernels.SCAN_LIMIT):
        raise CorruptionError(scan.reason, path=segment.path, offset=offset)


def frame_bytes(header: bytes, most: int) -> int:
    """Length of the frame whose header (checked) `header` begins with, at most `most`."""
    return min(kernels.FrameHeader.decode(header).size, most)


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
    end = segment.end[0]
    while last + 1 < sequence and end - offset > MARK_BYTES:
        data = file.read(offset, MARK_BYTES)
        scan = kernels.scan_frames(data, database_id, *_NOWHERE, check_chain=False, check_body=False)
        step, last_sequence = scan.end, scan.last_sequence
        if not scan.frames:
            if scan.stop != kernels.SCAN_PARTIAL:
                break
            step = frame_bytes(data, end - offset)
            last_sequence = kernels.FrameHeader.decode(data).last_sequence
        offset += step
        last = Sequence(last_sequence)
        if last > marks[-1][0]:
            marks.append((last, offset))
    at = bisect_right(marks, sequence - 1, key=lambda mark: mark[0]) - 1
    return marks[max(at, 0)]
