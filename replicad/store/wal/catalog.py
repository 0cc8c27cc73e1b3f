"""Which segments there are: the chain of them, oldest first, from the archive to the live one.

One lock guards the list; a segment's `end` may be read without it. Consecutive segments always join: the
position before a segment is the end of the one before it. What does not join is not in the list.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from itertools import pairwise
from pathlib import Path

from replicad.env import FileSystem, ReadFile
from replicad.env.atomic import link_or_copy
from replicad.errors import CorruptionError, LogGoneError, NewerFormatError
from replicad.store.wal.segment import HEADER_BYTES, Segment, SegmentHeader, is_segment_name
from replicad.types import DatabaseId, Sequence

OTHER_DATABASE = "belongs to another database"


class LogCatalog:
    def __init__(self, fs: FileSystem, live: Path, archive: Path) -> None:
        self.fs = fs
        self.live = live
        self.archive = archive
        self._lock = threading.Lock()
        self._segments: list[Segment] = []

    def __len__(self) -> int:
        return len(self._segments)

    def segments(self) -> list[Segment]:
        """A copy of the list, oldest first."""
        with self._lock:
            return list(self._segments)

    def replace(self, segments: list[Segment]) -> None:
        with self._lock:
            self._segments = segments

    def add(self, segment: Segment) -> None:
        with self._lock:
            assert (
                not self._segments
                or self._segments[-1].header.previous.sequence <= segment.header.previous.sequence
            )
            self._segments.append(segment)

    def take_back(self, segment: Segment) -> None:
        """The newest one, which got no frame. A reader at its end goes on with the one added next."""
        with self._lock:
            assert self._segments[-1] is segment
            del self._segments[-1]
        segment.sealed = True

    def holding(self, sequence: Sequence) -> Segment:
        """The segment that holds `sequence`, or that will; raises LogGoneError."""
        with self._lock:
            at = bisect_right(self._segments, sequence, key=lambda segment: segment.first_sequence) - 1
            if at < 0:
                raise LogGoneError(sequence, self._first_sequence(sequence))
            return self._segments[at]

    def after(self, segment: Segment, last: Sequence) -> Segment | None:
        """The segment that continues one that ends with `last`; raises LogGoneError when it is gone."""
        with self._lock:
            at = bisect_right(self._segments, last, key=lambda other: other.header.previous.sequence)
            if at == 0:
                if not self._segments or self._segments[0] is segment:
                    return None
                raise LogGoneError(last + 1, self._first_sequence(Sequence(0)))
            following = self._segments[at - 1]
            continues = following.header.previous.sequence == last
            return following if continues and following is not segment else None

    def open(self, segment: Segment) -> ReadFile:
        """Opens it wherever it is now: archiving may move it meanwhile."""
        while True:
            path = segment.path
            try:
                return self.fs.open(path)
            except FileNotFoundError:
                if path == segment.path:
                    raise LogGoneError(segment.first_sequence, self._first_sequence(Sequence(0))) from None

    def oldest_sequence(self) -> Sequence | None:
        """The first sequence number that a segment starts with; None without segments."""
        with self._lock:
            return self._segments[0].first_sequence if self._segments else None

    def move_to_archive(self, segment: Segment, now: float) -> None:
        """Link, sync the directory, unlink: at every moment one name at least is durable.

        What lies under the new name already (a crash left it, or another history) is not trusted.
        """
        target = self.archive / segment.path.name
        staged = target.with_name(target.name + ".tmp")
        self.fs.make_directories(self.archive)
        self.fs.unlink(staged)
        link_or_copy(self.fs, segment.path, staged)
        self.fs.rename(staged, target)
        self.fs.unlink(staged)
        self.fs.sync_directory(self.archive)
        source, segment.path = segment.path, target
        segment.archived = True
        segment.archived_at = now
        self.fs.unlink(source)

    def drop_oldest(self, segment: Segment) -> None:
        """Its names are gone durably before the next one's go: a crash must not leave a hole between
        segments, since `oldest_sequence` promises everything from there on. A crash while it was archived may
        have left it both."""
        with self._lock:
            assert self._segments[0] is segment
            del self._segments[0]
        if segment.archived:
            self.fs.sync_directory(self.live)
        elif self.fs.exists(second := self.archive / segment.path.name):
            self.fs.unlink(second)
            self.fs.sync_directory(self.archive)
        self.fs.unlink(segment.path)
        self.fs.sync_directory(segment.path.parent)

    def _first_sequence(self, default: Sequence) -> Sequence:
        return self._segments[0].first_sequence if self._segments else Sequence(default + 1)


def find_segments(
    fs: FileSystem, live: Path, archive: Path, database_id: DatabaseId, now: float
) -> tuple[list[Segment], list[tuple[Path, str]]]:
    """Reads the headers of all segment files: (segments by position, files passed over with the reason).

    Lengths and last sequence numbers are what the file sizes and the next headers say; recovery checks those
    that it needs. A name that is in both directories (a crash while archiving) counts as live.
    """
    segments: dict[str, Segment] = {}
    passed_over: list[tuple[Path, str]] = []
    for directory, archived in ((live, False), (archive, True)):
        for name in fs.list(directory):
            if not is_segment_name(name) or name in segments:
                continue

            path = directory / name
            file = fs.open(path)
            try:
                header = SegmentHeader.decode(file.read(0, HEADER_BYTES))
                size = file.size()
            except CorruptionError as error:
                # Recovery decides whether a segment with a damaged header was needed. A newer format is
                # not damage, and ends the opening.
                passed_over.append((path, error.reason))
                continue
            except NewerFormatError as error:
                raise NewerFormatError(f"{path}: {error}") from None
            finally:
                file.close()

            if header.database_id != database_id:
                passed_over.append((path, OTHER_DATABASE))
                continue
            end = (size, header.previous.sequence)
            segments[name] = Segment(
                path, header, end, sealed=True, archived=archived, archived_at=now if archived else None
            )

    # A segment does not say where it ends: its last number is the one before the next segment begins.
    ordered = sorted(segments.values(), key=lambda segment: (segment.first_sequence, segment.header.epoch))
    for segment, following in pairwise(ordered):
        segment.end = (segment.end[0], following.header.previous.sequence)
    return ordered, passed_over
