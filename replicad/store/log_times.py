"""From a commit time to a sequence number.

Commit times never go back, so the log is sorted by them: a binary search over the segments by their first
frames, one over the sparse index of the segment found, and at most MARK_BYTES of frames read in order.
"""

from __future__ import annotations

from replicad import kernels
from replicad.env import ReadFile
from replicad.errors import CorruptionError, LogGoneError
from replicad.store.core import Core
from replicad.store.wal.cursor import LogCursor, nearest_mark
from replicad.store.wal.segment import HEADER_BYTES, Segment
from replicad.types import Sequence


def sequence_at_time(core: Core, commit_time_us: int) -> Sequence:
    """The first sequence number of the first durable batch committed at or after that time.

    That of the batch to come when there is none. Raises LogGoneError when the log begins too late to tell.
    """
    segments = [segment for segment in core.catalog.segments() if segment.size_bytes > HEADER_BYTES]
    low, high = 0, len(segments)
    while low < high:
        middle = (low + high) // 2
        if _first_time(core, segments[middle]) < commit_time_us:
            low = middle + 1
        else:
            high = middle
    if low == 0:
        return _at_the_beginning(core, segments, commit_time_us)
    return _within(core, segments[low - 1], commit_time_us)


def _at_the_beginning(core: Core, segments: list[Segment], commit_time_us: int) -> Sequence:
    """Every batch that the log holds is late enough. Were there others?"""
    durable = core.progress.durable
    first = segments[0].first_sequence if segments else Sequence(durable + 1)
    if first == 1 or (not segments and core.state.commit_time_us < commit_time_us):
        return first
    raise LogGoneError(first - 1, first)


def _first_time(core: Core, segment: Segment) -> int:
    file = core.catalog.open(segment)
    try:
        return _time_at(file, segment, HEADER_BYTES)
    finally:
        file.close()


def _time_at(file: ReadFile, segment: Segment, offset: int) -> int:
    """When the frame at `offset` was committed; CorruptionError where the file ends within its header."""
    try:
        return kernels.FrameHeader.decode(file.read(offset, kernels.FRAME_HEADER_BYTES)).commit_time_us
    except CorruptionError as error:
        raise error.located(segment.path, offset) from None


def _within(core: Core, segment: Segment, commit_time_us: int) -> Sequence:
    """The segment's first batch is too early; what is sought is in it, or follows it."""
    file = core.catalog.open(segment)
    try:
        # Looking for the last number extends the sparse index to the whole segment.
        nearest_mark(file, segment, core.database_id, segment.last_sequence)
        marks = [mark for mark in list(segment.marks) if mark[1] < segment.size_bytes]

        # The first mark is the beginning of the segment, which is too early.
        low, high = 1, len(marks)
        while low < high:
            middle = (low + high) // 2
            if _time_at(file, segment, marks[middle][1]) < commit_time_us:
                low = middle + 1
            else:
                high = middle

        start = Sequence(marks[low - 1][0] + 1)
    finally:
        file.close()

    cursor = LogCursor(core.catalog, core.database_id, start)
    try:
        while (chunk := cursor.next()) is not None:
            for _, first, _, time_us, _, _, _ in kernels.list_frames(chunk.frames):
                if time_us >= commit_time_us:
                    return Sequence(first)
            start = Sequence(chunk.last_sequence + 1)
        return start
    finally:
        cursor.close()
