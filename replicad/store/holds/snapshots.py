"""Which sequence numbers somebody still reads at, so that merges keep what they see."""

from __future__ import annotations

from replicad.store.holds.held import Holds
from replicad.store.progress import LogProgress
from replicad.types import Sequence


class HeldSequence:
    """Held while it is referenced."""

    __slots__ = ("__weakref__", "sequence")

    def __init__(self, sequence: Sequence) -> None:
        self.sequence = sequence


class SnapshotRegistry:
    def __init__(self, progress: LogProgress) -> None:
        self._progress = progress
        self._held: Holds[HeldSequence] = Holds()

    def take(self, sequence: Sequence | None = None) -> HeldSequence:
        """Holds `sequence`, by default the visible one; what is given must be held or not be flushed yet."""
        if sequence is not None:
            held = HeldSequence(sequence)
            self._held.add(held)
            return held
        held = HeldSequence(Sequence(self._progress.visible))
        self._held.add(held)
        # Read again: a merge that looked before the hold was there drops only what something visible by then
        # has replaced, and that is visible at this number, too.
        held.sequence = Sequence(self._progress.visible)
        return held

    def sequences(self) -> list[Sequence]:
        """Ascending."""
        return sorted({held.sequence for held in self._held.items()})
