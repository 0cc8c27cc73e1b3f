"""Reads frames back from the archived log, checking every checksum and the chain on the way.

A piece is taken from the middle of an object as well: what precedes is read and checked, and has to end at
the very position that is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from replicad import kernels
from replicad.backup.archive.joined_log import LogPiece
from replicad.backup.archive.names import LogObject
from replicad.backup.target import Target
from replicad.errors import CorruptionError, InvalidArgument, NewerFormatError
from replicad.store.wal.frames import FrameWalk, LogChunk
from replicad.store.wal.segment import HEADER_BYTES, SegmentHeader
from replicad.types import Position, Sequence

READ_BYTES = 4 << 20


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


def read_line(target: Target, pieces: Iterable[LogPiece], start: Position) -> Iterator[LogChunk]:
    """All frames after `start`; raises CorruptionError where the history is another one."""
    at = start
    for piece in pieces:
        for chunk in read_piece(target, piece, at):
            yield chunk
            at = chunk.position


def read_piece(target: Target, piece: LogPiece, start: Position) -> Iterator[LogChunk]:
    """The frames after `start`, at sequence number `piece.after`, through `piece.through`.

    Raises InvalidArgument when `piece.through` lies within a batch.
    """
    assert start.sequence == piece.after
    each = piece.object
    at = read_header(target, each).previous
    walk = FrameWalk(partial(target.read, each.name), each.size_bytes, each.database_id, at, HEADER_BYTES)

    # An object is checked from its beginning: only the chain shows that it leads to `start`, and not to the
    # same number in another history.
    while at.sequence < start.sequence:
        chunk = walk.next(through=start.sequence, window_bytes=READ_BYTES)
        at = _checked(chunk, walk, each).position
    if at != start:
        raise CorruptionError(
            "the archived log is of another history",
            path=each.name,
            offset=walk.offset,
            expected=start,
            got=at,
        )

    while at.sequence < piece.through:
        chunk = walk.next(through=piece.through, window_bytes=READ_BYTES)
        if chunk is None and walk.stop == kernels.SCAN_LIMIT:
            header = target.read(each.name, walk.offset, kernels.FRAME_HEADER_BYTES)
            raise _within_a_batch(kernels.FrameHeader.decode(header), piece.through)
        chunk = _checked(chunk, walk, each)
        yield chunk
        at = chunk.position


def _checked(chunk: LogChunk | None, walk: FrameWalk, each: LogObject) -> LogChunk:
    """What the walk gave, if it is of the object's epoch. An object is whole: to get nothing is an error."""
    if chunk is None:
        if walk.stop == kernels.SCAN_NEWER:
            raise NewerFormatError(f"{each.name}: offset {walk.offset}: {walk.reason}")
        raise CorruptionError(walk.reason or "the object ends too early", path=each.name, offset=walk.offset)
    if chunk.position.epoch != each.epoch:
        raise CorruptionError(
            "a frame of another epoch",
            path=each.name,
            offset=walk.offset - len(chunk.frames),
            expected=each.epoch,
            got=chunk.position.epoch,
        )
    return chunk


def check_object(target: Target, each: LogObject) -> int:
    """Reads the whole object; raises CorruptionError unless it holds what its name says. Its bytes."""
    previous = read_header(target, each).previous

    end, commit_time_us, size_bytes = previous, 0, HEADER_BYTES
    for chunk in read_piece(target, LogPiece(each, previous.sequence, each.last), previous):
        end, commit_time_us = chunk.position, chunk.commit_time_us
        size_bytes += len(chunk.frames)

    # A restore chooses objects by their names alone, so each part of the name has to be true.
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


def _within_a_batch(batch: kernels.FrameHeader, goal: Sequence) -> InvalidArgument:
    first, last = batch.first_sequence, batch.last_sequence
    return InvalidArgument(
        f"sequence number {goal} lies within the batch of {first} to {last}; choose {first - 1} or {last}"
    )
