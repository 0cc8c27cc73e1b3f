"""One EXEC under way: a batch that grows, and the state that its commands see."""

from __future__ import annotations

from collections.abc import Callable

from replicad.server.interfaces import Name, Reader
from replicad.store.batch import WriteBatch


class Transaction:
    """`overlay` is what its commands have written so far; below that they see `reader`."""

    __slots__ = ("_begin_batch", "batch", "overlay", "reader", "saw_group")

    def __init__(self, reader: Reader, begin_batch: Callable[[], WriteBatch]) -> None:
        self.batch: WriteBatch | None = None
        self.overlay: dict[Name, bytes | None] = {}
        self.reader = reader
        self.saw_group = False
        """Whether it read what the open write group writes: then it waits for that, and fails with it."""
        self._begin_batch = begin_batch

    def open_batch(self) -> WriteBatch:
        if self.batch is None:
            self.batch = self._begin_batch()
        return self.batch
