"""Which sequence numbers somebody still reads at, so that merges keep what they see."""

from __future__ import annotations

import threading
from collections import Counter

from replicad.store.progress import Progress
from replicad.types import Sequence


class SnapshotRegistry:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lock = threading.RLock()
        """Reentrant: a forgotten snapshot lets go of its number whenever the garbage collector runs."""
        self._held: Counter[Sequence] = Counter()

    def take(self, sequence: Sequence | None = None) -> Sequence:
        """Holds `sequence`, by default the visible one; what is given must be held or not be flushed yet."""
        with self._lock:
            held = Sequence(self._progress.visible) if sequence is None else sequence
            self._held[held] += 1
            return held

    def release(self, sequence: Sequence) -> None:
        with self._lock:
            self._held[sequence] -= 1
            if not self._held[sequence]:
                del self._held[sequence]

    def sequences(self) -> list[Sequence]:
        """Ascending."""
        with self._lock:
            return sorted(self._held)
