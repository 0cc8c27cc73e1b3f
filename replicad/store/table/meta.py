"""What the manifest knows of a table."""

from __future__ import annotations

import re
from dataclasses import dataclass

from replicad.types import FamilyId, FileNumber, Sequence

LEVELS = 7
"""Of each column family's tree; manifests number them from 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableMeta:
    """Immutable, like the table. `sha256` and `size_bytes` are its identity: numbers are not."""

    number: FileNumber
    table_id: bytes
    family: FamilyId
    level: int
    size_bytes: int
    sha256: bytes
    smallest: bytes
    largest: bytes
    first_sequence: Sequence
    last_sequence: Sequence
    entries: int
    deletions: int
    raw_bytes: int
    """Keys and values before prefix compression and block compression."""

    @property
    def name(self) -> str:
        return table_name(self.number)


_NAME = re.compile(r"\d{6,18}\.sst")


def is_table_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def table_name(number: FileNumber) -> str:
    return f"{number:06d}.sst"
