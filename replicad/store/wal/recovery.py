"""Reads back the log after the manifest's position, and tells a torn tail from corruption (`proto/log.md`).

The story of a recovery:

1. `replay` reads the segments that may hold what tables lack, oldest first, and gives their frames to the
   caller.
2. It stops at the first gap or damage. What lies behind is not read as log, even if it is whole: appends that
   were not synced may reach the disk in any order, so that whole frames after damage prove nothing.
3. It decides what the damage is. Log that was durable once is lost: that is corruption, and the node stops.
   Log that was never durable is what a crash leaves: a torn tail.
4. `cut_torn_tail` cuts the tail off and keeps it aside, so that new frames join the last good one.

What proves that damaged bytes were durable once is a bound: the synced position of the manifest, or the
durable sequence number in the header of any later frame that this node wrote as primary.

Everything here runs on the thread that opens the database.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from replicad import kernels
from replicad.env import FileSystem, ReadFile
from replicad.env.atomic import COPY_CHUNK_BYTES, rewrite_file
from replicad.errors import CorruptionError, NewerFormatError
from replicad.store.wal.frames import FrameWalk, frame_headers
from replicad.store.wal.segment import HEADER_BYTES, Segment, first_sequence_of
from replicad.types import DatabaseId, Position, Sequence

TORN_KEPT = 4
"""Files of earlier torn tails; those of the newest one come on top."""

_TORN = re.compile(r"\d{10}-\d{20}\.log(\.\d+)?\.torn")


@dataclass(frozen=True, slots=True)
class TornTail:
    """What lies after the last whole frame and was never known to be durable: nobody was promised it."""

    path: Path
    offset: int
    reason: str
    segment: Segment | None
    """The one to cut at `offset`; None where a whole segment is missing or has lost its header."""
    later: tuple[Segment, ...]
    """Segments after the damage. They do not continue what is left of the log."""
    headless: tuple[Path, ...] = ()
    """Files of segments whose header cannot be read."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """Where the log ends. `commit_time_us` is the latest in any frame that was read, 0 when there was
    none."""

    position: Position
    commit_time_us: int
    torn: TornTail | None


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is known to have been durable."""

    synced: Position
    """From the manifest."""
    owned_after: Sequence | None
    """This node wrote the frames after this as primary, so that their durable sequence numbers speak of its
    own disk. None when it wrote none: those of another node speak of that node's disk."""


def replay(
    fs: FileSystem,
    segments: list[Segment],
    database_id: DatabaseId,
    start: Position,
    bounds: Bounds,
    consume: Callable[[bytes, Position, int], None],
    headless: tuple[Path, ...] = (),
    *,
    flushed_log_is_archived: bool = False,
) -> Recovered:
    """Gives every whole frame after `start` to `consume`, some at a time, in order.

    `segments` is the catalog's chain, oldest first, and each gets the `end` that was found. `headless` are
    live files whose header cannot be read: a crash leaves the newest segment like that. For
    `flushed_log_is_archived` see `log_after`. `consume` gets frames, the position after them and the commit
    time of the last.

    Raises CorruptionError when the log is of another history than the manifest, and for damage or a gap at or
    below the bounds.
    """
    # The last segment's end is not known from the header of a next one. Where it was archived, tables hold
    # all of it, and it is not read to find out.
    if flushed_log_is_archived and segments and segments[-1].archived:
        segments[-1].end = (segments[-1].size_bytes, max(segments[-1].last_sequence, start.sequence))
    needed = log_after(segments, start, flushed_log_is_archived=flushed_log_is_archived)
    position, commit_time_us = start, 0
    torn: TornTail | None = None
    for index, segment in enumerate(needed):
        # A missing segment is damage like any other: nothing after it continues the history. It need not be
        # corruption, because a crash may lose a segment and keep the one after it.
        if segment.header.previous.sequence > position.sequence:
            reason = (
                f"log records are missing before this segment: it begins at {segment.first_sequence}, "
                f"not at {position.sequence + 1}"
            )
            torn = TornTail(segment.path, HEADER_BYTES, reason, None, tuple(needed[index:]))
            needed = needed[:index]
            break

        replayed = _SegmentReplay(fs, segment, database_id, position)
        for frames in replayed:
            consume(frames, replayed.position, replayed.commit_time_us)
        position = replayed.position
        # Readers do not insist that commit times never go back, but the next frame's must not be below any.
        commit_time_us = max(commit_time_us, replayed.commit_time_us)
        segment.end = (replayed.offset, position.sequence)

        if replayed.damage is not None:
            later = tuple(needed[index + 1 :])
            torn = TornTail(segment.path, replayed.offset, replayed.damage, segment, later)
            needed = needed[: index + 1]
            break

    # Before anything is called a torn tail, everything that could prove it durable is looked at.
    torn = _with_headless(torn, headless, start)
    if torn is not None:
        _raise_if_it_was_durable(fs, torn, headless, database_id, position, bounds)
        if torn.segment is None and not torn.later and not torn.headless:
            torn = None  # A headless file of log that tables hold: there is nothing to cut.

    # A log can also end too early without any damage, when its last segments are gone or an older copy of it
    # was put back. What was synced must be there, in the same history.
    synced = bounds.synced
    if position != synced and position.sequence <= synced.sequence:
        reason = "before" if position.sequence < synced.sequence else "in another history than"
        raise CorruptionError(
            f"the log ends {reason} what was synced",
            path=needed[-1].path if needed else None,
            offset=needed[-1].end[0] if needed else None,
            expected=synced,
            got=position,
        )
    return Recovered(position, commit_time_us, torn)


def log_after(segments: list[Segment], start: Position, *, flushed_log_is_archived: bool) -> list[Segment]:
    """The segments that may hold frames after `start`. How far the last one goes is not known yet.

    With `flushed_log_is_archived` the last one is left out when it is in the archive, where only log that
    tables hold goes. A database that is opened while another process writes it cannot rely on that: its
    `start` may be older than what is archived by now.
    """
    return [
        segment
        for segment in segments
        if segment.last_sequence > start.sequence
        or (segment is segments[-1] and not (flushed_log_is_archived and segment.archived))
    ]


def _with_headless(torn: TornTail | None, headless: tuple[Path, ...], start: Position) -> TornTail | None:
    """Adds the files without a readable header whose frames, by their name, tables do not hold."""
    lost = tuple(path for path in headless if first_sequence_of(path.name) > start.sequence)
    if torn is not None:
        return replace(torn, headless=lost)
    if not headless:
        return None
    return TornTail(headless[-1], 0, "the segment header is damaged", None, (), lost)


class _SegmentReplay:
    """One segment, from the given position (which may lie within it) to its end or its first damage."""

    def __init__(self, fs: FileSystem, segment: Segment, database_id: DatabaseId, start: Position) -> None:
        self.position = start
        self.commit_time_us = 0
        self.offset = HEADER_BYTES
        self.damage: str | None = None
        self._fs = fs
        self._segment = segment
        self._database_id = database_id

    def __iter__(self) -> Iterator[bytes]:
        file = self._fs.open(self._segment.path)
        try:
            size = file.size()
            walk = self._past_flushed(file, size)
            while (chunk := walk.next()) is not None:
                self.position, self.commit_time_us = chunk.position, chunk.commit_time_us
                yield chunk.frames

            self.offset = walk.offset
            if walk.stop == kernels.SCAN_NEWER:
                raise NewerFormatError(f"{self._segment.path}: offset {self.offset}: {walk.reason}")
            if self.offset < size:
                self.damage = walk.reason or "an incomplete frame"
        finally:
            file.close()

    def _past_flushed(self, file: ReadFile, size: int) -> FrameWalk:
        """A walk after the last frame that tables hold, or before damage that keeps it from there."""
        found = self._segment.header.previous
        walk = FrameWalk(file.read, size, self._database_id, found, HEADER_BYTES)

        # Frames that tables hold are read all the same: only their chain shows that the log leads to the very
        # position of the manifest, and not to the same number in another history.
        while found.sequence < self.position.sequence:
            chunk = walk.next(through=self.position.sequence)
            if chunk is None:
                break
            found, self.commit_time_us = chunk.position, chunk.commit_time_us
        self.offset = walk.offset
        if found.sequence == self.position.sequence or walk.stop == kernels.SCAN_LIMIT:
            self._check_joins(found)
            return walk

        # Damage to log that nobody needs any more must not stop the node: what tables lack may be whole.
        if self.offset < size and walk.stop != kernels.SCAN_NEWER:
            for offset, header in frame_headers(file, self.offset + 1, size, self._database_id):
                if header.first_sequence == self.position.sequence + 1:
                    return FrameWalk(file.read, size, self._database_id, self.position, offset)
        return walk

    def _check_joins(self, found: Position) -> None:
        if found != self.position:
            raise CorruptionError(
                "the log is not the continuation of the manifest",
                path=self._segment.path,
                offset=self.offset,
                expected=self.position,
                got=found,
            )


def _raise_if_it_was_durable(
    fs: FileSystem,
    torn: TornTail,
    headless: tuple[Path, ...],
    database_id: DatabaseId,
    position: Position,
    bounds: Bounds,
) -> None:
    """Raises CorruptionError when the first frame that is lost was durable once."""
    damaged = position.sequence + 1
    proof = bounds.synced.sequence

    # The manifest's bound may be old: it is written at flushes and at a clean close. Each frame of our own
    # says how far the log was durable when it was written, so that any header behind the damage is a witness,
    # wherever it stands and whether its frame is whole or not.
    owned_after = bounds.owned_after
    if owned_after is not None and damaged > proof:
        places = [(path, 0) for path in (*(segment.path for segment in torn.later), *headless)]
        if torn.segment is not None:
            places.append((torn.path, torn.offset + 1))
        found = (_durable_within(fs, path, offset, database_id, owned_after) for path, offset in places)
        proof = max([proof, *found])

    if damaged <= proof:
        raise CorruptionError(
            f"{torn.reason}, in log that was durable through sequence number {proof}",
            path=torn.path,
            offset=torn.offset,
        )


def _durable_within(
    fs: FileSystem, path: Path, begin: int, database_id: DatabaseId, owned_after: Sequence
) -> Sequence:
    """The highest durable sequence number in any header from `begin` on of a frame that this node made."""
    file = fs.open(path)
    try:
        headers = frame_headers(file, begin, file.size(), database_id)
        ours = (header for _, header in headers if header.first_sequence > owned_after)
        return Sequence(max((header.durable_sequence for header in ours), default=0))
    finally:
        file.close()


def cut_torn_tail(fs: FileSystem, torn: TornTail, live: Path) -> list[Path]:
    """Cuts the tail off, into a new file, and returns where what was cut is kept (`*.torn`).

    Of what was kept before, the last TORN_KEPT files stay.
    """
    kept: list[Path] = []
    for name in torn_to_forget(fs.list(live)):
        fs.unlink(live / name)

    # The newest goes first, and the cut comes last: what a crash in between leaves is the same torn tail
    # still.
    for path in (*torn.headless, *(segment.path for segment in reversed(torn.later))):
        aside = live / (path.name + ".torn")
        fs.rename(path, aside)
        kept.append(aside)

    # What is cut is kept before it is cut. The good part goes into a new file, since the old one may be
    # hard-linked: a checkpoint would lose what it has been promised.
    if torn.segment is not None:
        aside = live / f"{torn.path.name}.{torn.offset}.torn"
        _copy_tail(fs, torn.path, aside, torn.offset)
        kept.append(aside)
        rewrite_file(fs, torn.path, torn.offset)

    # The next frame is appended after the cut: the cut has to be durable before it.
    fs.sync_directory(live)
    return kept


def torn_to_forget(names: list[str]) -> list[str]:
    """All but the last TORN_KEPT of the names that `cut_torn_tail` gives, by epoch and sequence number.

    >>> torn_to_forget(["a.log"] + [f"0000000001-{n:020d}.log.64.torn" for n in range(1, 7)])
    ['0000000001-00000000000000000001.log.64.torn', '0000000001-00000000000000000002.log.64.torn']
    """
    return sorted(name for name in names if _TORN.fullmatch(name))[:-TORN_KEPT]


def _copy_tail(fs: FileSystem, source: Path, target: Path, offset: int) -> None:
    fs.unlink(target)
    reader = fs.open(source)
    writer = fs.create(target)
    try:
        while data := reader.read(offset, COPY_CHUNK_BYTES):
            writer.append(data)
            offset += len(data)
        writer.sync()
    finally:
        reader.close()
        writer.close()
