"""Operations that change the database and not an entry: families and epochs (`proto/batch.md`, tags 4 to 7).

The writer, recovery and replicas all come through here: under the write lock, or before there are threads.
"""

from __future__ import annotations

import struct

from replicad.errors import CorruptionError
from replicad.store.core import Core
from replicad.store.manifest.edit import Edit
from replicad.store.manifest.families import FamilyRecord
from replicad.store.marks import decode_mark
from replicad.store.reading import Snapshot
from replicad.store.writable_core import WritableCore
from replicad.types import (
    DEFAULT_FAMILY,
    Epoch,
    EpochRecord,
    FamilyId,
    HistoryHash,
    OperationKind,
    Position,
    Sequence,
)

_EPOCH = struct.Struct("<I16sIQQ")

ControlOperation = tuple[int, int, int, bytes, bytes | None]
"""(sequence number, kind, family, key, value), as the kernel returns it."""


def encode_epoch(record: EpochRecord) -> bytes:
    fork = record.fork
    return _EPOCH.pack(record.epoch, record.id, fork.epoch, fork.sequence, fork.history_hash)


def decode_epoch(data: bytes) -> EpochRecord:
    if len(data) != _EPOCH.size:
        raise CorruptionError("epoch record length", expected=_EPOCH.size, got=len(data))
    epoch, id, fork_epoch, sequence, history_hash = _EPOCH.unpack(data)
    fork = Position(Epoch(fork_epoch), Sequence(sequence), HistoryHash(history_hash))
    return EpochRecord(Epoch(epoch), id, fork)


def apply_control(core: Core, operation: ControlOperation) -> None:
    """What an operation does in addition to its place in the log."""
    sequence, kind, family, key, value = operation
    if kind == OperationKind.CREATE_FAMILY:
        _create_family(core, FamilyRecord(FamilyId(family), _name_of(key), Sequence(sequence)))
    elif kind == OperationKind.DROP_FAMILY:
        _drop_family(core, FamilyId(family), Sequence(sequence))
    elif kind == OperationKind.EPOCH:
        assert value is not None
        _begin_epoch(core, value)
    elif kind == OperationKind.MARK:
        assert value is not None
        if isinstance(core, WritableCore) and (mark := decode_mark(value)) is not None:
            core.marks.hold(mark, Snapshot(core, Sequence(sequence)))


def _name_of(key: bytes) -> str:
    """What is in the log must be applicable: bytes that no writer of ours puts there are escaped."""
    return key.decode(errors="backslashreplace")


def _create_family(core: Core, record: FamilyRecord) -> None:
    """Ids are never used twice: one that is below the next was created, and maybe dropped, already."""
    if record.id < core.version.next_family:
        return
    version = core.swap_version(lambda version: version.creating(record))
    core.memtables.set(record.id, version.families[record.id].active)


def _drop_family(core: Core, family: FamilyId, sequence: Sequence) -> None:
    known = core.version.families.get(family)
    if family == DEFAULT_FAMILY or known is None or known.dropped is not None:
        return
    core.memtables.remove(family)
    core.forget_family_options(known.record.name)
    core.swap_version(lambda version: version.dropping(family, sequence))


def _begin_epoch(core: Core, value: bytes) -> None:
    record = decode_epoch(value)
    if record not in core.state.epochs:
        epochs = (*core.state.epochs, record)
        if isinstance(core, WritableCore):
            core.record(Edit(epochs=epochs))
        else:
            core.state = core.state.apply(Edit(epochs=epochs))
