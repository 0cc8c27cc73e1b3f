"""The cursors of SCAN: numbers of 63 bits that name the key to go on from.

A cursor is a hash of that key, so it costs nothing to keep and means the same after a restart and on every
node. The node remembers the keys of the latest ones, to find them at once; any other is found by walking
over the keys. A key that was deleted and is not remembered is not found: that scan begins again, and
returns keys twice rather than none.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from replicad import kernels

REMEMBERED_BYTES_MAX = 1 << 20
_EACH_BYTES = 128
"""What Python adds to a key that is remembered."""


def cursor_of(key: bytes) -> int:
    """1 to 2**63 - 1, which every client's integers hold; 0 begins a scan, and ends it."""
    return kernels.xxh64(key) >> 1 or 1


def locate(cursor: int, keys: Iterable[bytes]) -> bytes | None:
    """The first key that the cursor names, or None."""
    return next((key for key in keys if cursor_of(key) == cursor), None)


class Cursors:
    """The keys of the cursors used last."""

    def __init__(self, bytes_max: int = REMEMBERED_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._keys: OrderedDict[int, bytes] = OrderedDict()
        self.remembered_bytes = 0

    def __len__(self) -> int:
        return len(self._keys)

    def keep(self, key: bytes) -> int:
        """The cursor of a scan that goes on at `key`."""
        cursor = cursor_of(key)
        self._forget(cursor)
        self._keys[cursor] = key
        self.remembered_bytes += len(key) + _EACH_BYTES
        while self.remembered_bytes > self._bytes_max:
            self._forget(next(iter(self._keys)))
        return cursor

    def find(self, cursor: int) -> bytes | None:
        """The key of a cursor that is remembered."""
        key = self._keys.get(cursor)
        if key is not None:
            self._keys.move_to_end(cursor)
        return key

    def _forget(self, cursor: int) -> None:
        key = self._keys.pop(cursor, None)
        if key is not None:
            self.remembered_bytes -= len(key) + _EACH_BYTES
