"""Operations that change the database and not an entry: epochs (`proto/batch.md`, tags 4 to 7)."""

from __future__ import annotations

import struct

from replicad.errors import CorruptionError
from replicad.store.core import Core
from replicad.store.manifest.edit import Edit
from replicad.types import Epoch, EpochRecord, HistoryHash, OperationKind, Position, Sequence

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
    """What an operation does beside its place in the log. Marks are for those who read the log."""
    _, kind, _, _, value = operation
    if kind != OperationKind.EPOCH:
        return
    assert value is not None
    record = decode_epoch(value)
    if record not in core.state.epochs:
        epochs = (*core.state.epochs, record)
        if core.manifest is None:
            core.state = core.state.apply(Edit(epochs=epochs))
        else:
            core.record(Edit(epochs=epochs))
