"""Which column families there are at one position. Immutable; ids are never used twice.

A family is recorded together with the position that the tables reach: what the log holds after that position
is replayed, creation and dropping included, so the record never runs ahead of the log.
"""

from __future__ import annotations

from dataclasses import dataclass

from replicad.types import DEFAULT_FAMILY, FamilyId, Sequence

DEFAULT_NAME = "default"
NAME_BYTES_MAX = 255


@dataclass(frozen=True, slots=True)
class FamilyRecord:
    """`created` is the sequence number of its creation; 0 for the default family."""

    id: FamilyId
    name: str
    created: Sequence


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
