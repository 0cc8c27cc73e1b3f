"""Changing the role of an open database in place: the whole of it, or nothing.

    replica ──promote──> owner, in a new epoch          owner ──demote──> replica, in the same epoch

A promotion, step by step, and what a crash after each leaves:

    1  no more frames are applied; what is there is made durable      a replica
    2  the manifest: no copy any more, and the new epoch, which       an owner; opening it takes step 3
       begins after the last position
    3  the epoch record, the first frame of a new segment, durable    an owner in the new epoch
    4  writes are taken

So the manifest decides who the database belongs to, and nobody is answered before the record of the epoch is
durable. The frames after that record are this node's own: their durable sequence numbers are bounds for
recovery (`store.wal.recovery`), which those of a former primary never are.
"""

from __future__ import annotations

from pathlib import Path

from replicad.env import FileSystem
from replicad.errors import CorruptionError, DiskFullError, InvalidArgument, NotFoundError, PoisonedError
from replicad.store.manifest.edit import Edit
from replicad.store.manifest.file import load
from replicad.store.writable_core import WritableCore
from replicad.store.write.write_path import WritePath
from replicad.types import Epoch, EpochRecord, Position

EPOCH_ID_BYTES = 16
EPOCH_MAX = (1 << 32) - 1


def recorded_role(fs: FileSystem, directory: Path) -> tuple[bool, Epoch] | None:
    """Whether the database in a directory takes writes as what it is, and its last epoch; None without one.
    Of one that is not open."""
    try:
        state = load(fs, directory)
    except NotFoundError:
        return None
    return not state.copy, max((record.epoch for record in state.epochs), default=Epoch(0))


def promote(writes: WritePath, epoch_id: bytes, at_least: int) -> EpochRecord:
    """Makes a replica's database one that takes writes, in a new epoch; see `Database.promote`."""
    core = writes.core
    if core.role == "owner":
        raise InvalidArgument("the database takes writes already")
    if len(epoch_id) != EPOCH_ID_BYTES:
        raise InvalidArgument(f"an epoch's id has {EPOCH_ID_BYTES} bytes, not {len(epoch_id)}")

    # From here on neither writes nor frames change the last position.
    last = writes.gate.begin_change()

    try:
        epoch = max(last.epoch + 1, at_least)
        if epoch > EPOCH_MAX:
            raise InvalidArgument(f"the last epoch is {EPOCH_MAX}; there is no {epoch}")

        # The manifest will say that the log was durable through `last`, so it has to be.
        writes.syncer.sync_through(last.sequence)

        record = EpochRecord(Epoch(epoch), epoch_id, last)
        epochs = core.state.epochs
        core.record(Edit(copy=False, owned=last, synced=last, epochs=(*epochs, record)))

        # The manifest has decided: after a crash here the next opening writes the epoch record. Only where
        # there is no room for that is the promotion taken back.
        try:
            writes.syncer.sync_through(writes.control.begin_epoch(record))
        except DiskFullError:
            _take_back(core, epochs)
            raise
    except BaseException:
        # A store that failed takes neither writes nor frames: the next opening follows the manifest.
        if core.progress.failure is None:
            writes.gate.end_change("replica")
        raise
    writes.gate.end_change("owner")
    return record


def finish_promotion(writes: WritePath) -> None:
    """Begins the epoch that the manifest of an owner names and its log lacks: a crash came between."""
    core = writes.core
    position = core.log.written
    pending = [record for record in core.state.epochs if record.epoch > position.epoch]
    if not pending:
        return

    # The epoch begins where the log ended when the manifest was written. A log that ends elsewhere now has
    # lost something, or got what is not its own.
    if pending[0].fork != position:
        raise CorruptionError(
            f"the manifest's epoch {pending[0].epoch} does not begin where the log ends",
            path=core.catalog.live,
            expected=pending[0].fork,
            got=position,
        )

    writes.gate.begin_change()
    writes.syncer.sync_through(writes.control.begin_epoch(pending[0]))
    writes.gate.end_change("owner")
    core.notes.append(f"the promotion to epoch {pending[0].epoch} that was under way is finished")


def demote(writes: WritePath) -> Position:
    """Ends the taking of writes, for good; the last position. Refused are writes from the call on, also when
    the manifest cannot be written (DiskFullError): then it may be called again."""
    core = writes.core
    if core.role == "replica" and core.state.copy:
        return core.log.written
    last = writes.gate.begin_change()
    try:
        writes.syncer.sync_through(last.sequence)
        core.role = "replica"
        core.record(Edit(copy=True, synced=last))
    finally:
        if core.progress.failure is None:
            writes.gate.end_change("replica")
    return last


def _take_back(core: WritableCore, epochs: tuple[EpochRecord, ...]) -> None:
    """The manifest of a promotion that found no room; when that cannot be written either, opening decides."""
    try:
        core.record(Edit(copy=True, epochs=epochs))
    except (OSError, DiskFullError) as error:
        core.progress.fail(error)
        raise PoisonedError(f"the promotion found no room, and could not be taken back: {error}") from error
    except BaseException as error:
        core.progress.fail(error)
        raise
