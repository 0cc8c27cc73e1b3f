"""How many keys a column family has: counted by walking, so kept for a while when the walk is long."""

from __future__ import annotations

from collections.abc import Callable

from replicad.server.interfaces import Walkable
from replicad.store.database import Database
from replicad.store.reading import Snapshot

_SLOW_SECONDS = 0.25
_REUSE_FACTOR = 20


class KeyCount:
    """The last count. It is exact while nothing was written since; a count that took long is also good for
    some multiple of that time, and INFO says how old it is. `count` and `measure` run in a thread, the
    rest on the loop."""

    def __init__(self, store: Database, now: Callable[[], float], family: int) -> None:
        self._store = store
        self._family = family
        self._now = now
        self._sequence = -1
        self._took_seconds = 0.0
        self._counted_at = 0.0
        self.keys: int | None = None

    @property
    def age_seconds(self) -> float:
        if self._sequence == self._store.latest_sequence:
            return 0.0
        return self._now() - self._counted_at

    def current(self) -> int | None:
        """The count, unless it should be taken anew."""
        if self._sequence == self._store.latest_sequence:
            return self.keys
        was_slow = self._took_seconds > _SLOW_SECONDS
        return self.keys if was_slow and self.age_seconds < self._took_seconds * _REUSE_FACTOR else None

    def count(self, state: Walkable) -> int:
        return sum(1 for _ in state.scan(family=self._family))

    def measure(self, snapshot: Snapshot) -> tuple[int, int, float]:
        """(sequence number, keys, seconds it took)."""
        began = self._now()
        return snapshot.sequence, self.count(snapshot), self._now() - began

    def keep(self, sequence: int, keys: int, took_seconds: float) -> int:
        if sequence >= self._sequence:
            self._sequence, self.keys, self._took_seconds = sequence, keys, took_seconds
            self._counted_at = self._now() - took_seconds
        return keys
