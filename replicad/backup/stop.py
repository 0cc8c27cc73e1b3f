"""Telling work that runs in other threads to end."""

from __future__ import annotations

import threading

from replicad.errors import StoppedError


class OperationStop:
    """One for each operation, so that stopping it leaves the next one alone."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._requested = threading.Event()

    def request(self) -> None:
        self._requested.set()

    @property
    def is_requested(self) -> bool:
        return self._requested.is_set()

    def check(self) -> None:
        """Raises StoppedError once it was requested."""
        if self._requested.is_set():
            raise StoppedError(f"{self._what} was stopped")

    def pause(self, seconds: float) -> None:
        """Waits so long, or raises StoppedError sooner."""
        self._requested.wait(seconds)
        self.check()
