"""Reads back the log after the manifest's position, and tells a torn tail from corruption.

Valid frames after damage prove nothing by themselves: unsynced appends may reach the medium out of order.
What proves that the damaged bytes were durable once is the manifest's synced position, and (on a node that
wrote the segment as primary) the durable sequence number in any later frame. Damage at or below such a bound
is corruption and stops the node; above it, it is a torn tail, which is cut off and kept aside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from replicad import kernels
from replicad.env import FileSystem
from replicad.env.atomic import COPY_CHUNK_BYTES, copy_file
from replicad.errors import CorruptionError
from replicad.store.wal.cursor import frame_bytes
from replicad.store.wal.segment import HEADER_BYTES, Segment
from replicad.types import DatabaseId, Epoch, HistoryHash, Position, Sequence

READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class TornTail:
    """Bytes after the last whole frame that the log does not owe anybody."""

    segment: Segment
    offset: int
    reason: str
    later: tuple[Segment, ...]
    """Segments after the damaged one: they cannot be joined any more."""


@dataclass(frozen=True, slots=True)
class Recovered:
    position: Position
    commit_time_us: int
    torn: TornTail | None
    used: tuple[Segment, ...]
    """The segments after the manifest's position, whose ends are now exact."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is known to have been durable."""

    synced: Sequence
    """From the manifest."""
    trust_frames: bool
    """Whether durable sequence numbers in frames speak of this node: it wrote them as primary."""


def replay(
    fs: FileSystem,
    segments: list[Segment],
    database_id: DatabaseId,
    start: Position,
    bounds: Bounds,
    consume: Callable[[bytes, Position, int], None],
) -> Recovered:
    """Gives every whole frame after `start` to `consume`, some at a time, in order.

    `segments` is the catalog's chain, oldest first. Raises CorruptionError for a gap, for a history that is
    not the manifest's, and for damage at or below the bounds.
    """
    needed = log_after(segments, start)
    position, commit_time_us = start, 0
    torn: TornTail | None = None
    for index, segment in enumerate(needed):
        if segment.header.previous.sequence > position.sequence:
            raise CorruptionError(
                "log records are missing before this segment",
                path=segment.path,
                offset=HEADER_BYTES,
                expected=position.sequence + 1,
                got=segment.first_sequence,
            )
        walk = _Walk(fs, segment, database_id, position)
        for frames in walk:
            consume(frames, walk.position, walk.commit_time_us)
        position = walk.position
        commit_time_us = max(commit_time_us, walk.commit_time_us)
        segment.end = (walk.offset, position.sequence)
        if walk.damage is not None:
            torn = TornTail(segment, walk.offset, walk.damage, tuple(needed[index + 1 :]))
            _raise_if_it_was_durable(fs, torn, database_id, position, bounds)
            needed = needed[: index + 1]
            break
    if position.sequence < bounds.synced:
        where = needed[-1].path if needed else None
        raise CorruptionError(
            "the log ends before what was synced",
            path=where,
            offset=needed[-1].end[0] if needed else None,
            expected=bounds.synced,
            got=position.sequence,
        )
    return Recovered(position, commit_time_us, torn, tuple(needed))


def log_after(segments: list[Segment], start: Position) -> list[Segment]:
    """The segments that may hold frames after `start`. How far the last one goes nobody knows yet."""
    return [
        segment for segment in segments if segment.last_sequence > start.sequence or segment is segments[-1]
    ]


class _Walk:
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
            previous = self._segment.header.previous
            skip_through = self.position.sequence
            at = previous
            if previous.sequence == skip_through:
                self._check_joins(previous)
            want = READ_BYTES
            while self.offset < size:
                data = file.read(self.offset, min(want, size - self.offset))
                skipping = at.sequence < skip_through
                scan = kernels.scan_frames(
                    data,
                    self._database_id,
                    at.epoch,
                    at.sequence,
                    at.history_hash,
                    stop_sequence=skip_through if skipping else 2**64 - 1,
                )
                if scan.frames:
                    at = Position(
                        Epoch(scan.epoch), Sequence(scan.last_sequence), HistoryHash(scan.history_hash)
                    )
                    self.offset += scan.end
                    self.commit_time_us = scan.commit_time_us
                    want = READ_BYTES
                    if not skipping:
                        self.position = at
                        yield data[: scan.end]
                    elif at.sequence == skip_through:
                        self._check_joins(at)
                    continue
                if scan.stop == kernels.SCAN_PARTIAL and len(data) < size - self.offset:
                    want = max(frame_bytes(data, size - self.offset), want * 2)
                    continue
                self.damage = scan.reason or "an incomplete frame"
                if scan.stop == kernels.SCAN_LIMIT:
                    self._check_joins(at)
                return
        finally:
            file.close()

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
    fs: FileSystem, torn: TornTail, database_id: DatabaseId, position: Position, bounds: Bounds
) -> None:
    damaged = position.sequence + 1
    proof = bounds.synced
    if bounds.trust_frames and damaged > proof:
        proof = _durable_after(fs, torn, database_id)
    if damaged <= proof:
        raise CorruptionError(
            f"{torn.reason}, in log that was durable through sequence number {proof}",
            path=torn.segment.path,
            offset=torn.offset,
        )


def _durable_after(fs: FileSystem, torn: TornTail, database_id: DatabaseId) -> Sequence:
    """The highest durable sequence number that any valid frame after the damage carries."""
    found = 0
    for segment in (torn.segment, *torn.later):
        file = fs.open(segment.path)
        try:
            offset = torn.offset + 1 if segment is torn.segment else HEADER_BYTES
            size = file.size()
            while offset < size:
                data = file.read(offset, READ_BYTES)
                at = kernels.find_frame_header(data, database_id)
                if at < 0:
                    if offset + len(data) >= size:
                        break
                    offset += len(data) - kernels.FRAME_HEADER_BYTES + 1
                    continue
                found = max(found, int.from_bytes(data[at + 32 : at + 40], "little"))
                offset += at + 1
        finally:
            file.close()
    return Sequence(found)


def cut_torn_tail(fs: FileSystem, torn: TornTail, live: Path) -> list[Path]:
    """Cuts the tail off, into a new file, and returns where what was cut is kept (`*.torn`)."""
    kept: list[Path] = []
    for segment in reversed(torn.later):
        aside = live / (segment.path.name + ".torn")
        fs.rename(segment.path, aside)
        kept.append(aside)
    path = torn.segment.path
    aside = live / f"{path.name}.{torn.offset}.torn"
    _copy_tail(fs, path, aside, torn.offset)
    kept.append(aside)
    staged = path.with_name(path.name + ".tmp")
    fs.unlink(staged)
    copy_file(fs, path, staged, torn.offset)
    fs.rename(staged, path)
    fs.sync_directory(live)
    return kept


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
