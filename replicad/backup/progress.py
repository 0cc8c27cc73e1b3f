"""How far a copy or a verification is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from replicad.env import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a callback is given. Totals count what has to be copied or read, not what is there already."""

    bytes_done: int
    bytes_total: int
    files_done: int
    files_total: int
    seconds: float
    """Since it began."""
    bytes_per_second: float
    seconds_left: float | None
    """At the rate so far; None while nothing is known."""


ProgressCallback = Callable[[Progress], None]


class Meter:
    """Counts from any thread, and calls back from whichever passes the next mark: one call at a time.

    What the callback raises ends the work.
    """

    def __init__(self, clock: Clock, callback: ProgressCallback | None, every_bytes: int) -> None:
        self._clock = clock
        self._callback = callback
        self._every = every_bytes
        self._lock = threading.Lock()
        self._calling = threading.Lock()
        self._begun = clock.monotonic()
        self._next = every_bytes
        self._bytes = self._bytes_total = self._files = self._files_total = 0

    def expect(self, files: int, bytes: int) -> None:
        with self._lock:
            self._files_total += files
            self._bytes_total += bytes

    def add(self, bytes: int) -> None:
        with self._lock:
            self._bytes += bytes
            due = self._bytes >= self._next
            if due:
                self._next = self._bytes + self._every
        if due:
            self._call()

    def file_done(self) -> None:
        with self._lock:
            self._files += 1
        self._call()

    def _call(self) -> None:
        if self._callback is None:
            return
        with self._calling:
            self._callback(self.now())

    def now(self) -> Progress:
        with self._lock:
            seconds = self._clock.monotonic() - self._begun
            rate = self._bytes / seconds if seconds > 0 else 0.0
            left = max(0, self._bytes_total - self._bytes)
            return Progress(
                bytes_done=self._bytes,
                bytes_total=self._bytes_total,
                files_done=self._files,
                files_total=self._files_total,
                seconds=seconds,
                bytes_per_second=rate,
                seconds_left=left / rate if rate > 0 else None,
            )
