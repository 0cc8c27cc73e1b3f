"""The cursors of SCAN: numbers that stand for the key to go on from.

The table is bounded: when it is full the oldest cursor goes, and a client that comes back with it is told
so. A cursor may be used more than once, as in Redis.
"""

from __future__ import annotations


class CursorTable:
    def __init__(self, cursors_max: int) -> None:
        self._cursors_max = cursors_max
        self._keys: dict[int, bytes] = {}
        self._next = 1

    def __len__(self) -> int:
        return len(self._keys)

    def keep(self, key: bytes) -> int:
        """A new cursor for a scan that goes on at `key`."""
        if len(self._keys) >= self._cursors_max:
            del self._keys[next(iter(self._keys))]
        cursor = self._next
        self._next += 1
        self._keys[cursor] = key
        return cursor

    def find(self, cursor: int) -> bytes | None:
        """Where a scan goes on, or None for a cursor that is unknown or was dropped."""
        return self._keys.get(cursor)
