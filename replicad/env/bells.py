"""Waiting for a condition that other threads make true, without a lock that an interrupted thread could keep.

threading.Condition is written in Python: an exception from outside between its bytecodes leaves its lock
held for ever. Here the one who waits has a bell of its own, and each step is a single call into C.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable

RECHECK_SECONDS = 1.0
"""A ring may be lost when the one who rings is interrupted: that costs this much, and no more."""


class Bells:
    """Any thread may wait, any may ring."""

    def __init__(self) -> None:
        self.waiting: set[queue.SimpleQueue[None]] = set()
        """Not empty while somebody waits: looked at after a change, to save the ringing."""

    def ring(self) -> None:
        """Wakes all who wait, to look at their condition again."""
        for bell in tuple(self.waiting):
            bell.put(None)

    def wait_for(self, condition: Callable[[], bool], timeout: float | None = None) -> bool:
        """Whether the condition came true within `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.waiting.add(bell)
        try:
            while not condition():
                seconds = RECHECK_SECONDS
                if deadline is not None:
                    seconds = min(seconds, deadline - time.monotonic())
                    if seconds <= 0:
                        return False
                try:
                    bell.get(timeout=seconds)
                except queue.Empty:
                    pass
            return True
        finally:
            self.waiting.discard(bell)
