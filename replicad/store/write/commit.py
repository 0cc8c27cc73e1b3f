"""What `submit` returns: a batch on its way."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from replicad.store.progress import LogProgress
from replicad.types import Sequence


class Commit:
    """A batch that is in the log. It is acknowledged when it is visible: durable under "sync", at once under
    "async".

    `await commit` waits on the running loop, `commit.wait()` blocks the thread; both raise PoisonedError when
    the store fails first, and then it is unknown whether the batch will be there after recovery.
    """

    __slots__ = ("_progress", "first_sequence", "sequence")

    def __init__(self, progress: LogProgress, first_sequence: Sequence, sequence: Sequence) -> None:
        self._progress = progress
        self.first_sequence = first_sequence
        self.sequence = sequence

    @property
    def visible(self) -> bool:
        return self._progress.visible >= self.sequence

    @property
    def durable(self) -> bool:
        return self._progress.durable >= self.sequence

    def wait(self, timeout: float | None = None) -> bool:
        """Blocks until visible (True) or `timeout` seconds are over (False)."""
        return self._progress.wait_visible(self.sequence, timeout)

    def wait_durable(self, timeout: float | None = None) -> bool:
        return self._progress.wait_durable(self.sequence, timeout)

    def __await__(self) -> Generator[Any, None, None]:
        if not self.visible:
            yield from self._progress.visible_future(self.sequence).__await__()
