"""Frames as a node sent them become updates, once each is checked against the one before it."""

from __future__ import annotations

from replicad import kernels
from replicad.errors import CorruptionError, DivergedError, GapError
from replicad.store.updates import Update, updates_of
from replicad.types import Position


def updates_in(frames: bytes, database_id: bytes, after: Position | int) -> list[Update]:
    """The updates after that position. A number is the sequence number that the first one has to hold: what
    was before it is not known, so that the history hash is compared from the second one on.

    Raises GapError, DivergedError, and CorruptionError for bytes that are not what was written.
    """
    if isinstance(after, int):
        head = kernels.FrameHeader.decode(frames)
        if not head.first_sequence <= after <= head.last_sequence:
            raise GapError(f"the node sent the batch at {head.first_sequence}, and {after} was asked for")
        size = kernels.FRAME_HEADER_BYTES + head.body_length
        scan = kernels.scan_frames(
            frames[:size], database_id, head.epoch, head.first_sequence - 1, 0, check_chain=False
        )
        if scan.stop != kernels.SCAN_END:
            raise CorruptionError(f"a frame of the feed: {scan.reason}")
        (first,) = updates_of(frames[:size])
        return [first, *(updates_in(frames[size:], database_id, first.position) if frames[size:] else [])]

    scan = kernels.scan_frames(frames, database_id, after.epoch, after.sequence, after.history_hash)
    if scan.stop == kernels.SCAN_BAD_CHAIN:
        raise _why_unchained(frames[scan.end :], scan, after)
    if scan.stop != kernels.SCAN_END:
        raise CorruptionError(f"a frame of the feed: {scan.reason}")
    return updates_of(frames)


def _why_unchained(rest: bytes, scan: kernels.FrameScan, after: Position) -> Exception:
    last = scan.last_sequence if scan.frames else after.sequence
    found = kernels.FrameHeader.decode(rest).first_sequence
    if found != last + 1:
        return GapError(f"the node sent the batch at {found} after the one that ends at {last}")
    return DivergedError(f"the batch at {found} does not continue the history that was read: {scan.reason}")
