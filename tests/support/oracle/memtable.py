"""A memtable as a sorted list, and the application of records to memtables."""

from __future__ import annotations

from tests.support.oracle.batch import DELETE, LOG_DATA, PUT, Record

Entry = tuple[bytes, int, int, bytes]
"""(key, sequence, kind, value)"""


class Memtable:
    """Entries by key ascending, then sequence number descending."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def add(self, key: bytes, sequence: int, kind: int, value: bytes) -> None:
        self._entries.append((key, sequence, kind, value))

    @property
    def entries(self) -> list[Entry]:
        self._entries.sort(key=lambda entry: (entry[0], -entry[1]))
        return self._entries

    def get(self, key: bytes, sequence: int) -> tuple[bool, bytes | None]:
        for entry_key, entry_sequence, kind, value in self.entries:
            if entry_key == key and entry_sequence <= sequence:
                return True, value if kind == PUT else None
        return False, None

    def items(self, sequence: int = 2**64 - 1) -> list[Entry]:
        return [entry for entry in self.entries if entry[1] <= sequence]


def apply(records: list[Record], first_sequence: int, memtables: dict[int, Memtable]) -> None:
    """Numbers `records` and adds the puts and deletes of the families that are there."""
    sequence = first_sequence
    for kind, family, key, value in records:
        if kind == LOG_DATA:
            continue
        if kind in (PUT, DELETE) and family in memtables:
            memtables[family].add(key, sequence, kind, value or b"")
        sequence += 1
