"""What open cuts hold: tables keep their names, and log stays where it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from replicad.store.holds.held import Holds
from replicad.types import FileNumber, Sequence


class Pin:
    """These tables, and the log from a sequence number on; held while it is referenced."""

    __slots__ = ("__weakref__", "log_from", "tables")

    def __init__(self, tables: frozenset[FileNumber], log_from: Sequence) -> None:
        self.tables = tables
        self.log_from = log_from


class Pins:
    def __init__(self) -> None:
        self._held: Holds[Pin] = Holds()

    def take(self, tables: Iterable[FileNumber], log_from: Sequence) -> Pin:
        """Of a version that still has the tables: under the version lock."""
        pin = Pin(frozenset(tables), log_from)
        self._held.add(pin)
        return pin

    def release(self, pin: Pin) -> None:
        self._held.discard(pin)

    def tables(self) -> set[FileNumber]:
        return {number for pin in self._held.items() for number in pin.tables}

    def __len__(self) -> int:
        """How many tables are held."""
        return len(self.tables())

    def log_from(self) -> Counter[Sequence]:
        """The sequence numbers from which on log is held, each with how many hold it."""
        return Counter(pin.log_from for pin in self._held.items())
