"""How far the store has come, and who is told."""

from __future__ import annotations

from replicad.store.progress import LogProgress
from replicad.types import ORIGIN, Epoch, HistoryHash, Position, Sequence


class Watched(LogProgress):
    """Looks, as another thread might, whenever the durable sequence number moves."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "durable" and hasattr(self, "changed"):
            assert not self.visible_when_durable or self.visible == value
        super().__setattr__(name, value)


def test_what_is_durable_is_visible() -> None:
    """A flush waits until the log is durable and then drops what older readers see, so those come first."""
    progress = Watched(ORIGIN, visible_when_durable=False)
    progress.visible_when_durable = True
    progress.advance_durable(Position(Epoch(1), Sequence(7), HistoryHash(5)))
    assert (progress.visible, progress.durable) == (7, 7)
