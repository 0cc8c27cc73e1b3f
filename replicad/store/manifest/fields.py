"""The values in a manifest's maps, each checked for its type and range; ValueError for any other.

A record with the right checksum may still come from a hostile primary, inside of a copy.
"""

from __future__ import annotations

from typing import Any

from replicad.store.manifest.families import FamilyRecord, check_name
from replicad.store.table.meta import LEVELS, TableMeta
from replicad.types import Epoch, EpochRecord, FamilyId, FileNumber, HistoryHash, Position, Sequence


class Count:
    """Lets a number of values pass, then raises ValueError."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def __call__(self, value: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise ValueError("more arrays and maps than its bytes could mean")
        return value


def number(value: Any, limit: int = 1 << 64) -> int:
    """Below `limit`."""
    if type(value) is not int or not 0 <= value < limit:
        raise ValueError(f"{value!r:.60} is not a whole number from 0 to {limit - 1}")
    return value


def u32(value: Any) -> int:
    return number(value, 1 << 32)


def boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError(f"{value!r:.60} is not a boolean")
    return value


def bytes_of(value: Any, size: int | None = None) -> bytes:
    if type(value) is not bytes or (size is not None and len(value) != size):
        raise ValueError(f"{value!r:.60} is not {'' if size is None else f'{size} '}bytes")
    return value


def file_number(value: Any) -> FileNumber:
    return FileNumber(number(value))


def position(value: Any) -> Position:
    epoch, sequence, history_hash = value
    return Position(Epoch(u32(epoch)), Sequence(number(sequence)), HistoryHash(number(history_hash)))


def epoch_record(value: Any) -> EpochRecord:
    epoch, id, fork = value
    return EpochRecord(Epoch(u32(epoch)), bytes_of(id, 16), position(fork))


def family(value: Any) -> FamilyRecord:
    id, name, created = value
    if type(name) is not str:
        raise ValueError(f"{name!r:.60} is not the name of a column family")
    check_name(name.encode())
    return FamilyRecord(FamilyId(u32(id)), name, Sequence(number(created)))


def table(value: Any) -> TableMeta:
    file, table_id, family, level, size, sha256, smallest, largest, first, last, entries, deletions, raw = (
        value
    )

    # No key would ever be looked up in a table whose range is empty.
    if bytes_of(smallest) > bytes_of(largest):
        raise ValueError("a table's smallest key is greater than its largest")

    return TableMeta(
        number=file_number(file),
        table_id=bytes_of(table_id, 16),
        family=FamilyId(u32(family)),
        level=number(level, LEVELS),
        size_bytes=number(size),
        sha256=bytes_of(sha256, 32),
        smallest=smallest,
        largest=largest,
        first_sequence=Sequence(number(first)),
        last_sequence=Sequence(number(last)),
        entries=number(entries),
        deletions=number(deletions),
        raw_bytes=number(raw),
    )
