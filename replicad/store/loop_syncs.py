"""Syncs for an event loop: begun on its thread, done by one that needs no interpreter, heard on the loop.

    take (the loop) ──> SyncThread: fdatasync ──> the doorbell ──> the loop: durable, and the next one

So a sync costs the loop two wake-ups of the operating system and no turn of the interpreter's lock, for which
two threads would wait in turns. The kernel's own AIO costs less while the loop is idle, but its worker shares
the submitter's processor, and waits for a tick of the scheduler (4 ms) while the loop is busy.

What is not so simple (a new segment, a failure, syncs that other threads ask for) is the syncer's lane's job,
which first pauses this.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable

from replicad import kernels
from replicad.env import Env
from replicad.env.durations import Durations
from replicad.store.progress import LogProgress
from replicad.store.wal.writer import LogWriter, ToSync


class LoopSyncs:
    """Made on the loop's thread. `ask_lane` has the syncer's lane sync, soon."""

    def __init__(
        self,
        log: LogWriter,
        progress: LogProgress,
        env: Env,
        loop: asyncio.AbstractEventLoop,
        ask_lane: Callable[[], None],
        durations: Durations,
    ) -> None:
        self._log = log
        self._progress = progress
        self._ask_lane = ask_lane
        self._now = env.clock.monotonic
        self._durations = durations
        self._begun_at = 0.0
        self._loop_thread = threading.get_ident()
        self._lock = threading.RLock()
        """Guards what follows. Reentrant: a finalizer may write, wherever memory is allocated."""
        self._under_way: ToSync | None = None
        self._again = False
        """Something was written since the sync under way began."""
        self._paused = False

        self._bell = env.runner.doorbell(loop, self._heard)
        if self._bell is not None:
            self._thread = kernels.SyncThread(self._bell.descriptor)
            self._lane = env.runner.lane("loop-sync")
            self._lane.submit(self._thread.serve)

    def take(self) -> bool:
        """Whether what is written now becomes durable by this, soon; otherwise the lane has to sync."""
        if threading.get_ident() != self._loop_thread or self._bell is None:
            return False
        with self._lock:
            if self._under_way is not None:
                self._again = True
                return True
            if self._paused:
                return False
            noted = self._log.one_to_sync()
            if noted is None or noted.live is None or noted.live.descriptor is None:
                return False
            self._begun_at = self._now()
            if not self._thread.begin(noted.live.descriptor):
                return False
            self._under_way = noted
            return True

    def _heard(self) -> None:
        """A sync ended; the lane may have settled it, and another one may have begun."""
        with self._lock:
            if self._thread.running:
                return
            if self._thread.error:
                self._ask_lane()
                return
            if self._under_way is not None:
                self._settle(self._under_way)
            again, self._again = self._again, False
        if again and not self.take():
            self._ask_lane()

    def _settle(self, noted: ToSync) -> None:
        self._under_way = None
        self._durations.add(self._now() - self._begun_at)
        self._log.synced(noted)
        self._progress.advance_durable(noted.target)

    def pause(self) -> None:
        """In the lane: waits for the sync under way; none begins until `go_on`.

        Raises OSError when one failed.
        """
        if self._bell is None:
            return
        with self._lock:
            self._paused = True
        self._thread.wait()
        with self._lock:
            if self._thread.error:
                self._log.doubt()
                raise OSError(self._thread.error, os.strerror(self._thread.error))
            if self._under_way is not None:
                self._settle(self._under_way)

    def go_on(self) -> None:
        self._paused = False

    def close(self) -> None:
        """After the lane's last job."""
        if self._bell is not None:
            self._thread.close()
            self._lane.close()
            self._bell.close()
