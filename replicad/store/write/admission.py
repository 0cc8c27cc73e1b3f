"""Whether frames of another node mean something, asked before they are appended.

Their checksums and their chain are right by then. A peer that has a bug, is of another version, or lies,
can still ship what no node of ours writes. Once it is in the log it is replayed at every opening, and what
the manifest cannot record would stop the node for ever. So what the manifest refuses is refused here, by
the same rule.
"""

from __future__ import annotations

from collections.abc import Mapping

from replicad import kernels
from replicad.errors import CorruptionError
from replicad.store.manifest.families import check_new_family
from replicad.store.write.control import ControlOperation, decode_epoch
from replicad.types import DEFAULT_FAMILY, EpochRecord, OperationKind, Position

EPOCH_JUMP_MAX = 1 << 16
"""How far an epoch may be above the one before it: each promotion takes one, and those that nobody follows
are few. Without it one record could use up all epochs."""
COMMIT_TIME_MAX_US = 253_402_300_799_999_999
"""The end of the year 9999, in microseconds since 1970: no commit time that follows may be less."""


def check_frames(frames: bytes, at: Position, families: Mapping[str, int], next_family: int) -> None:
    """Raises CorruptionError for frames after `at` that must not be applied.

    `families` are those that are there, id by name, and `next_family` is the least id that was never used.
    """
    epoch = kernels.FrameHeader.decode(frames).epoch
    found = kernels.inspect_frames(frames)
    if found.commit_time_us > COMMIT_TIME_MAX_US:
        raise _nonsense("the commit time", f"at most {COMMIT_TIME_MAX_US}", found.commit_time_us)
    if found.durable_sequence >= found.last_sequence:
        raise _nonsense(
            "the durable sequence number", f"less than {found.last_sequence}", found.durable_sequence
        )
    controls = list(found.controls)
    if epoch > at.epoch:
        check_epoch(controls.pop(0) if controls else None, at, epoch)
    _check_families(controls, dict(families), next_family)


def check_epoch(operation: ControlOperation | None, at: Position, epoch: int) -> EpochRecord:
    """The record that begins `epoch` after `at`: it is the first operation, and names just that."""
    if operation is None or operation[1] != OperationKind.EPOCH or operation[0] != at.sequence + 1:
        raise CorruptionError(f"epoch {epoch} does not begin with its record")
    record = decode_epoch(operation[4] or b"")
    if record.epoch != epoch or record.fork != at:
        raise _nonsense("the record of an epoch", f"epoch {epoch} from {at}", record)
    if epoch - at.epoch > EPOCH_JUMP_MAX:
        raise _nonsense("an epoch", f"at most {at.epoch + EPOCH_JUMP_MAX}", epoch)
    return record


def _check_families(controls: list[ControlOperation], families: dict[str, int], next_family: int) -> None:
    for _, kind, family, key, _ in controls:
        if kind == OperationKind.EPOCH:
            raise CorruptionError("the record of an epoch stands in the middle of one")
        if kind == OperationKind.CREATE_FAMILY:
            families[check_new_family(key, family, families, next_family)] = family
            next_family = family + 1
        elif kind == OperationKind.DROP_FAMILY:
            if family == DEFAULT_FAMILY:
                raise CorruptionError("the default column family is dropped")
            # One that is not here is passed over: a copy may lack families.
            families = {name: id for name, id in families.items() if id != family}


def _nonsense(what: str, expected: object, got: object) -> CorruptionError:
    return CorruptionError(f"frames from another node: {what} cannot be", expected=expected, got=got)
