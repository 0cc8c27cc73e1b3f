"""The words that every part uses: sequence numbers, epochs, positions and their ids."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, NewType

from replicad.errors import InvalidArgument

Sequence = NewType("Sequence", int)
"""u64, assigned by the primary, one per operation, never reused within an epoch; 0 is before the first."""
Epoch = NewType("Epoch", int)
"""u32, the fencing term; 1 in a new database."""
HistoryHash = NewType("HistoryHash", int)
"""u64, chained over every batch; 0 before the first."""
FamilyId = NewType("FamilyId", int)
"""u32, never reused; 0 is the default family."""
FileNumber = NewType("FileNumber", int)
DatabaseId = NewType("DatabaseId", bytes)
"""16 random bytes, made with the database and kept by every copy that still follows it."""

DEFAULT_FAMILY = FamilyId(0)

_POSITION = re.compile(r"(\d{1,10}):(\d{1,20}):([0-9a-f]{16})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Position:
    """One exact history: the state after the batch that ends at `sequence`.

    >>> str(Position(Epoch(1), Sequence(42), HistoryHash(255)))
    '1:42:00000000000000ff'
    """

    epoch: Epoch
    sequence: Sequence
    history_hash: HistoryHash

    def __str__(self) -> str:
        return f"{self.epoch}:{self.sequence}:{self.history_hash:016x}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """Reads what `str` wrote; raises InvalidArgument for anything else."""
        match = _POSITION.fullmatch(text)
        if match is None:
            raise InvalidArgument(f"{text!r} is not a position (EPOCH:SEQUENCE:HASH)")
        return cls(Epoch(int(match[1])), Sequence(int(match[2])), HistoryHash(int(match[3], 16)))


ORIGIN = Position(Epoch(1), Sequence(0), HistoryHash(0))
"""Where every new database begins."""


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """Where an epoch began: its random id (16 bytes) and the last position of the epoch before it."""

    epoch: Epoch
    id: bytes
    fork: Position


class OperationKind(IntEnum):
    """The tag bytes of `proto/batch.md`; on disk and on the wire, never renumbered."""

    PUT = 1
    DELETE = 2
    LOG_DATA = 3
    CREATE_FAMILY = 4
    DROP_FAMILY = 5
    EPOCH = 6
    MARK = 7


class Operation(NamedTuple):
    """One entry of a batch, in the order put.

    For LOG_DATA and MARK the bytes are in `value`; for CREATE_FAMILY the name is in `key`; for EPOCH the
    encoded record is in `value`.
    """

    kind: OperationKind
    family: FamilyId
    key: bytes
    value: bytes | None
