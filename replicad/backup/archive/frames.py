"""Reads frames back from the archived log, checking every checksum and the chain on the way.

A piece is taken from the middle of an object as well: what precedes is read and checked, and has to end at
the very position that is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from replicad import kernels
from replicad.backup.archive.line import Piece
from replicad.backup.archive.names import LogObject
from replicad.backup.target import Target
from replicad.errors import CorruptionError, InvalidArgument, NewerFormatError
from replicad.store.wal.cursor import frame_bytes
from replicad.store.wal.segment import HEADER_BYTES, SegmentHeader
from replicad.types import Epoch, HistoryHash, Position, Sequence

READ_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Frames:
    """Whole frames of one epoch, and the position after them."""

    data: bytes
    position: Position
    commit_time_us: int


def read_header(target: Target, each: LogObject) -> SegmentHeader:
    """The header of an object; raises CorruptionError unless it agrees with the name."""
    try:
        header = SegmentHeader.decode(target.read(each.name, 0, HEADER_BYTES))
    except CorruptionError as error:
        raise error.located(each.name) from None
    said = (each.database_id.hex(), each.epoch, each.first)
    found = (header.database_id.hex(), header.epoch, header.previous.sequence + 1)
    if said != found:
        raise CorruptionError(
            "the header is that of another log object", path=each.name, offset=0, expected=said, got=found
        )
    return header


def read_line(target: Target, pieces: Iterable[Piece], start: Position) -> Iterator[Frames]:
    """All frames after `start`; raises CorruptionError where the history is another one."""
    at = start
    for piece in pieces:
        for frames in read_piece(target, piece, at):
            yield frames
            at = frames.position


def read_piece(target: Target, piece: Piece, start: Position) -> Iterator[Frames]:
    """The frames after `start`, at sequence number `piece.after`, through `piece.through`.

    Raises InvalidArgument when `piece.through` lies within a batch.
    """
    assert start.sequence == piece.after
    each = piece.object
    at = read_header(target, each).previous
    offset, want = HEADER_BYTES, READ_BYTES
    if at.sequence == start.sequence:
        _check_joins(each, offset, start, at)
    while at.sequence < piece.through:
        length = min(want, each.size_bytes - offset)
        data = target.read(each.name, offset, length)
        skipping = at.sequence < piece.after
        scan = kernels.scan_frames(
            data,
            each.database_id,
            at.epoch,
            at.sequence,
            at.history_hash,
            stop_sequence=piece.after if skipping else piece.through,
        )
        if scan.frames:
            at = Position(Epoch(scan.epoch), Sequence(scan.last_sequence), HistoryHash(scan.history_hash))
            if at.epoch != each.epoch:
                raise CorruptionError(
                    "a frame of another epoch",
                    path=each.name,
                    offset=offset,
                    expected=each.epoch,
                    got=at.epoch,
                )
            offset += scan.end
            want = READ_BYTES
            if not skipping:
                yield Frames(data[: scan.end], at, scan.commit_time_us)
            elif at.sequence == piece.after:
                _check_joins(each, offset, start, at)
        elif scan.stop == kernels.SCAN_PARTIAL and len(data) == length < each.size_bytes - offset:
            want = max(frame_bytes(data, each.size_bytes - offset), want * 2)
        elif scan.stop == kernels.SCAN_LIMIT and not skipping:
            raise _within_a_batch(data, piece.through)
        elif scan.stop == kernels.SCAN_NEWER:
            raise NewerFormatError(f"{each.name}: offset {offset}: {scan.reason}")
        else:
            raise CorruptionError(scan.reason or "the object ends too early", path=each.name, offset=offset)


def check_object(target: Target, each: LogObject) -> int:
    """Reads the whole object; raises CorruptionError unless it holds what its name says. Its bytes."""
    previous = read_header(target, each).previous
    end, commit_time_us, size_bytes = previous, 0, HEADER_BYTES
    for frames in read_piece(target, Piece(each, previous.sequence, each.last), previous):
        end, commit_time_us = frames.position, frames.commit_time_us
        size_bytes += len(frames.data)
    said, found = (each.end, each.commit_time_us), (end, commit_time_us)
    if said != found:
        raise CorruptionError(
            "the frames are not those of the name",
            path=each.name,
            offset=HEADER_BYTES,
            expected=said,
            got=found,
        )
    if size_bytes != each.size_bytes:
        raise CorruptionError(
            "there is something after the last frame",
            path=each.name,
            offset=size_bytes,
            expected=size_bytes,
            got=each.size_bytes,
        )
    return size_bytes


def _check_joins(each: LogObject, offset: int, expected: Position, got: Position) -> None:
    if got != expected:
        raise CorruptionError(
            "the archived log is of another history",
            path=each.name,
            offset=offset,
            expected=expected,
            got=got,
        )


def _within_a_batch(data: bytes, goal: Sequence) -> InvalidArgument:
    batch = kernels.FrameHeader.decode(data)
    return InvalidArgument(
        f"sequence number {goal} lies within the batch of {batch.first_sequence} to {batch.last_sequence}; "
        f"choose {batch.first_sequence - 1} or {batch.last_sequence}"
    )
