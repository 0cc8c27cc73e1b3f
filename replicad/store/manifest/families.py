"""Which column families there are at one position. Immutable; ids are never used twice.

A family is recorded together with the position that the tables reach: what the log holds after that position
is replayed, creation and dropping included, so the record never runs ahead of the log.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from replicad.errors import CorruptionError
from replicad.types import DEFAULT_FAMILY, FamilyId, Sequence

DEFAULT_NAME = "default"
NAME_BYTES_MAX = 255


@dataclass(frozen=True, slots=True)
class FamilyRecord:
    """`created` is the sequence number of its creation; 0 for the default family."""

    id: FamilyId
    name: str
    created: Sequence


FAMILY_ID_MAX = (1 << 32) - 2
"""So that the id after it still fits the format."""


def check_name(encoded: bytes) -> str:
    """The name that these bytes are; raises CorruptionError for what no family can be called."""
    try:
        name = encoded.decode()
    except UnicodeDecodeError as error:
        raise CorruptionError(f"the name of a column family is not UTF-8: {encoded!r:.60}") from error
    if not 1 <= len(encoded) <= NAME_BYTES_MAX:
        raise CorruptionError(
            "the length of a column family's name", expected=f"1 to {NAME_BYTES_MAX} bytes", got=len(encoded)
        )
    return name


def check_new_family(encoded: bytes, id: int, names: Collection[str], next_id: int) -> str:
    """The name of a family that is created in addition to `names`; raises CorruptionError for a bad one."""
    name = check_name(encoded)
    if name in names:
        raise CorruptionError(f"there is a column family {name!r} already")
    if id != next_id or id > FAMILY_ID_MAX:
        raise CorruptionError(f"the id of the column family {name!r}", expected=next_id, got=id)
    return name


DEFAULT_RECORD = FamilyRecord(DEFAULT_FAMILY, DEFAULT_NAME, Sequence(0))


@dataclass(frozen=True, slots=True)
class FamilyList:
    """`records` by id, the default family first; `next_id` and all above it were never used."""

    next_id: FamilyId
    records: tuple[FamilyRecord, ...]

    @property
    def ids(self) -> set[FamilyId]:
        return {record.id for record in self.records}


ONLY_DEFAULT = FamilyList(FamilyId(1), (DEFAULT_RECORD,))
