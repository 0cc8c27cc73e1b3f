"""Which clients watch which keys (WATCH), so that a write breaks what it should.

A key's sequence number is not enough: one that was created and deleted again has none, as before. The loop's
thread owns everything here.
"""

from __future__ import annotations

from collections.abc import Collection

from replicad.server.interfaces import Name

_EACH_BYTES = 256  # what Python adds to a key


class WatchedKeys:
    """What one client watches. `versions` are the keys' sequence numbers when it began to watch them."""

    def __init__(self) -> None:
        self.versions: dict[Name, int] = {}
        self.size_bytes = 0
        self.is_broken = False
        """One of the keys was written since."""


class Watches:
    """The watched keys of all clients."""

    def __init__(self) -> None:
        self._watching: dict[Name, set[WatchedKeys]] = {}

    def add(self, watched: WatchedKeys, name: Name, version: int) -> None:
        watched.versions[name] = version
        self._watching.setdefault(name, set()).add(watched)

    def forget(self, watched: WatchedKeys) -> None:
        """Forgets all keys that one client watches."""
        for name in watched.versions:
            watching = self._watching[name]
            watching.discard(watched)
            if not watching:
                del self._watching[name]

    def __bool__(self) -> bool:
        """Whether anybody watches anything."""
        return bool(self._watching)

    def wrote(self, names: Collection[Name]) -> None:
        """These keys were written."""
        for name in self._watching.keys() & names:
            for watched in self._watching[name]:
                watched.is_broken = True


def watched_bytes(name: Name) -> int:
    """What a watched key takes in memory, about."""
    return _EACH_BYTES + (len(name) if isinstance(name, bytes) else len(name[1]))
