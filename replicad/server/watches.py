"""Which connections watch which keys (WATCH), so that a write breaks what it should.

A key's sequence number is not enough: one that was created and deleted again has none, as before. The loop's
thread owns everything here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol

from replicad.server.interfaces import Name


class Watcher(Protocol):
    watch_broken: bool
    """One of its keys was written since it began to watch it."""


class Watches:
    def __init__(self) -> None:
        self._watchers: dict[Name, set[Watcher]] = {}

    def add(self, watcher: Watcher, name: Name) -> None:
        self._watchers.setdefault(name, set()).add(watcher)

    def forget(self, watcher: Watcher, names: Iterable[Name]) -> None:
        """`names` are all that it watches."""
        for name in names:
            watchers = self._watchers[name]
            watchers.discard(watcher)
            if not watchers:
                del self._watchers[name]

    def wrote(self, names: Collection[Name]) -> None:
        """These keys were written; called for every group, so it costs nothing while nobody watches."""
        if self._watchers:
            for name in self._watchers.keys() & names:
                for watcher in self._watchers[name]:
                    watcher.watch_broken = True
