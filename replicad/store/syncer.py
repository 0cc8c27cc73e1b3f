"""Makes the log durable: one thread syncs at a time, for everybody who waits (group commit).

A thread that needs its own write durable leads if nobody does, and follows otherwise; whoever leads syncs all
that was written until then. A request without a waiter runs on the store's sync lane: the first one at once,
further ones together, PACE_SECONDS apart. Without that pace, under "async", each sync would be followed by
the next, and the two threads would spend their time handing each other the interpreter.
"""

from __future__ import annotations

import threading

from replicad.env import Clock, Lane
from replicad.errors import PoisonedError
from replicad.store.progress import Progress
from replicad.store.wal.writer import LogWriter
from replicad.types import Sequence

PACE_SECONDS = 0.02


class Syncer:
    def __init__(self, log: LogWriter, progress: Progress, lane: Lane, clock: Clock) -> None:
        self._log = log
        self._progress = progress
        self._lane = lane
        self._clock = clock
        self._leading = False
        self.requested = False
        self._paced_from = -PACE_SECONDS
        self._closing = threading.Event()

    def sync_through(self, sequence: Sequence) -> None:
        """Returns when `sequence` is durable; raises PoisonedError when it never will be."""
        progress = self._progress
        while progress.durable < sequence:
            progress.raise_if_ended()
            if not self._take_lead():
                progress.wait(lambda: progress.durable >= sequence or not self._leading)
                continue
            try:
                if progress.durable < sequence:
                    self._sync()
            finally:
                self._leading = False
                progress.moved()

    def request(self) -> None:
        """Everything written so far shall become durable, soon. Under the write lock."""
        if not self.requested:
            self.requested = True
            self._lane.submit(self._run)

    def close(self) -> None:
        self._closing.set()
        self._lane.close()

    def _run(self) -> None:
        if not self._progress.visible_when_durable:
            self._closing.wait(max(0.0, self._paced_from + PACE_SECONDS - self._clock.monotonic()))
            self._paced_from = self._clock.monotonic()
        self.requested = False
        try:
            self.sync_through(Sequence(self._progress.appended))
        except Exception as error:
            self._progress.fail(error)

    def _take_lead(self) -> bool:
        with self._progress.changed:
            if self._leading:
                return False
            self._leading = True
            return True

    def _sync(self) -> None:
        try:
            position = self._log.sync()
        except OSError as error:
            failure = PoisonedError(f"the log could not be synced: {error}; restart to recover")
            self._progress.fail(failure)
            raise failure from error
        self._progress.advance_durable(position)
