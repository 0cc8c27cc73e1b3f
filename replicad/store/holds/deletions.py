"""Who may remove files of the database: everybody, unless deletions are disabled.

Moving a segment to the archive counts, because its old name goes. What is to be removed meanwhile is held
back, in memory; after a crash or a close the next opening removes it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from replicad.env import FileSystem


class Deletions:
    """A counter of those who want none, and of removals under way. Innermost: takes no other lock."""

    def __init__(self, fs: FileSystem) -> None:
        self._fs = fs
        self._changed = threading.Condition()
        self._disabled = 0
        self._running = 0
        self._held: list[Path] = []

    @property
    def disabled(self) -> int:
        """How many `disable` calls had no `enable` yet."""
        return self._disabled

    def disable(self) -> None:
        """Returns when no removal is under way; none begins before the matching `enable`."""
        with self._changed:
            self._disabled += 1
            self._changed.wait_for(lambda: not self._running)

    def enable(self, *, force: bool = False) -> bool:
        """Takes back one `disable`, or with `force` all. After the last one removes what was held back.

        Whether deletions are enabled now; fine if they were.
        """
        with self._changed:
            self._disabled = 0 if force else max(0, self._disabled - 1)
            if self._disabled:
                return False
            held, self._held = self._held, []
            self._running += 1
        try:
            for path in held:
                self._fs.unlink(path)
        finally:
            self._done()
        return True

    def remove(self, paths: Iterable[Path]) -> None:
        """Now, or when deletions are enabled."""
        with self._changed:
            if self._disabled:
                self._held.extend(paths)
                return
            self._running += 1
        try:
            for path in paths:
                self._fs.unlink(path)
        finally:
            self._done()

    @contextmanager
    def allowed(self) -> Iterator[bool]:
        """Whether names may go within the block; `disable` waits for its end."""
        with self._changed:
            allowed = not self._disabled
            if allowed:
                self._running += 1
        try:
            yield allowed
        finally:
            if allowed:
                self._done()

    def _done(self) -> None:
        with self._changed:
            self._running -= 1
            self._changed.notify_all()
