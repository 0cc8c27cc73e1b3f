"""Frames of another node, as a replica applies them: checked against this history, appended as they are."""

from __future__ import annotations

from replicad import kernels
from replicad.errors import CorruptionError, DivergedError, GapError, InvalidArgument, PoisonedError
from replicad.store.reading import families_at
from replicad.store.syncer import Syncer
from replicad.store.writable_core import WritableCore
from replicad.store.write.admission import check_frames
from replicad.store.write.applier import Applier
from replicad.store.write.gate import WriteGate
from replicad.types import DatabaseId, Epoch, HistoryHash, Position, Sequence


class ForeignFrames:
    def __init__(self, core: WritableCore, syncer: Syncer, gate: WriteGate, applier: Applier) -> None:
        self._core = core
        self._log = core.log
        self._frames = core.log.frames
        self._progress = core.progress
        self._lock = core.write_lock
        self._syncer = syncer
        self._gate = gate
        self._applier = applier

    def apply(self, data: bytes) -> Position:
        """Another node's frames: checked against this history, appended as they are, applied."""
        now = self._core.env.clock.monotonic
        begun = now()
        position = self._core.env.runner.apart(lambda: self._apply(data))
        self._core.timings.apply.add(now() - begun)
        return position

    def _apply(self, data: bytes) -> Position:
        core = self._core
        with self._lock:
            self._gate.raise_unless_replica()

            # Frames are checked whole before any of them is appended: checksums, and that they continue this
            # very history.
            scan = check_continues(data, core.database_id, core.log.written)
            if not scan.frames:
                return core.log.written

            # What passes its checksums may still be something that cannot be applied. It must not get into
            # the log.
            families = families_at(core.version, self._progress.appended)
            check_frames(data, core.log.written, families, core.version.next_family)
            after = end_of(scan)

            try:
                self._log.append_frames(data, after, scan.commit_time_us)
            except PoisonedError as error:
                self._progress.fail(error)
                raise

            dropped = self._applier.insert_or_fail(data)
            self._applier.after_append(scan.last_sequence, seal=dropped)
            self._syncer.request()
            return after


def check_continues(data: bytes, database_id: DatabaseId, at: Position) -> kernels.FrameScan:
    """What whole frames of one epoch say that continue this very history, their checksums right.

    Raises GapError, DivergedError, CorruptionError or InvalidArgument for others.
    """
    scan = kernels.scan_frames(data, database_id, at.epoch, at.sequence, at.history_hash)
    if scan.stop != kernels.SCAN_END:
        raise _why_refused(scan, data)
    if scan.frames and kernels.FrameHeader.decode(data).epoch != scan.epoch:
        raise InvalidArgument("frames of two epochs in one piece")
    return scan


def end_of(scan: kernels.FrameScan) -> Position:
    """The position after the frames that were scanned."""
    return Position(Epoch(scan.epoch), Sequence(scan.last_sequence), HistoryHash(scan.history_hash))


def _why_refused(scan: kernels.FrameScan, data: bytes) -> Exception:
    at = scan.end
    if scan.stop == kernels.SCAN_BAD_CHAIN:
        expected = scan.last_sequence + 1
        got = kernels.FrameHeader.decode(data, at).first_sequence
        if got != expected:
            return GapError(f"a batch begins at {got}, not at {expected}")
        return DivergedError(f"the batch at {got} continues another history: {scan.reason}")
    return CorruptionError(f"frames from another node: {scan.reason or 'cut short'}", offset=at)
