"""A log segment: its header, then every frame with its checksums and its place in the chain."""

from __future__ import annotations

from typing import Any

from replicad import kernels
from replicad.cli.explain.explanation import Damage, Explanation
from replicad.cli.output import json_bytes
from replicad.errors import CorruptionError
from replicad.store.wal.segment import HEADER_BYTES, SegmentHeader
from replicad.types import OperationKind
from replicad.units import show_time

_STOPS = {
    kernels.SCAN_BAD_HEADER: "frame header checksum",
    kernels.SCAN_BAD_BODY: "frame body checksum",
    kernels.SCAN_BAD_CHAIN: "the frame does not follow the one before it",
    kernels.SCAN_NEWER: "the frame was written by a newer version",
}


def explain_segment(data: bytes, *, entries: bool) -> Explanation:
    explained = Explanation("log segment", len(data), part_name="frame")
    try:
        header = SegmentHeader.decode(data)
    except CorruptionError as error:
        explained.damage = Damage.of(error)
        return explained

    previous = header.previous
    explained.header = {
        "database_id": header.database_id.hex(),
        "epoch": header.epoch,
        "position_before": str(previous),
        "checksum": "right",
    }

    # The scan stops at the first frame that does not fit; those before it are shown all the same.
    frames = memoryview(data)[HEADER_BYTES:]
    scan = kernels.scan_frames(
        frames, header.database_id, previous.epoch, previous.sequence, previous.history_hash
    )
    at = 0
    while at < scan.end:
        frame = kernels.FrameHeader.decode(frames, at)
        explained.parts.append(_frame(data, HEADER_BYTES + at, frame, entries=entries))
        at += frame.size

    explained.header |= {"frames": scan.frames, "operations": scan.operations}
    if scan.frames:
        explained.header["position_after"] = f"{scan.epoch}:{scan.last_sequence}:{scan.history_hash:016x}"
        explained.header["durable_when_written"] = scan.durable_sequence

    end = HEADER_BYTES + scan.end
    if scan.stop == kernels.SCAN_PARTIAL:
        explained.damage = Damage(end, f"the file ends within a frame, after {len(data) - end} bytes of it")
        explained.notes.append(
            "A cut last frame is what a crash leaves; recovery drops it unless it was durable."
        )
    elif scan.stop != kernels.SCAN_END:
        explained.damage = Damage(end, scan.reason or _STOPS.get(scan.stop, "unreadable frame"))
    return explained


def _frame(data: bytes, offset: int, frame: kernels.FrameHeader, *, entries: bool) -> dict[str, Any]:
    part: dict[str, Any] = {
        "offset": offset,
        "length": frame.size,
        "position": f"{frame.epoch}:{frame.last_sequence}:{frame.history_hash:016x}",
        "first_sequence": frame.first_sequence,
        "operations": frame.operation_count,
        "committed": show_time(frame.commit_time_us),
    }
    if entries:
        body = kernels.decode_batch(data[offset + kernels.FRAME_HEADER_BYTES : offset + frame.size])
        part["entries"] = [_operation(*operation) for operation in body]
    return part


def _operation(kind: int, family: int, key: bytes, value: bytes | None) -> dict[str, Any]:
    shown: dict[str, Any] = {"kind": OperationKind(kind).name.lower()}
    if family:
        shown["family"] = family
    if key or kind in (OperationKind.PUT, OperationKind.DELETE):
        shown["key"] = json_bytes(key)
    if value is not None:
        shown["value"] = json_bytes(value)
    return shown
