"""Makes the log durable: one lane syncs, for everybody who waits (group commit).

The thread that waits never syncs itself: an exception from outside between a sync that failed and the note of
that failure would lose it, and the next sync, of pages that the system took for clean then, would lie.

Requests without a waiter are synced PACE_SECONDS apart, the first one at once. Without that pace, under
"async", each sync would be followed by the next, and the two threads would spend their time handing each
other the interpreter.
"""

from __future__ import annotations

import asyncio
import queue

from replicad.env import Env
from replicad.env.durations import Durations
from replicad.errors import PoisonedError
from replicad.store.loop_syncs import LoopSyncs
from replicad.store.progress import LogProgress
from replicad.store.wal.writer import LogWriter
from replicad.types import Sequence

PACE_SECONDS = 0.02
ASK_AGAIN_SECONDS = 1.0
"""A request may be lost when the one who makes it is interrupted."""


class Syncer:
    def __init__(self, log: LogWriter, progress: LogProgress, env: Env, durations: Durations) -> None:
        self._log = log
        self._progress = progress
        self._env = env
        self._durations = durations
        """Of the syncs; the lane adds to them while those for the loop pause."""
        self._lane = env.runner.lane("log-sync")
        self.requested = False
        self._paced_from = -PACE_SECONDS
        self._hurry: queue.SimpleQueue[None] = queue.SimpleQueue()
        """Ends the pause between two syncs."""
        self._loop_syncs: LoopSyncs | None = None

    def use_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """On its thread: what is written there is synced for the loop. Threads that wait are served as
        before."""
        if self._loop_syncs is None:
            self._loop_syncs = LoopSyncs(
                self._log, self._progress, self._env, loop, self._ask_lane, self._durations
            )

    def sync_through(self, sequence: Sequence) -> None:
        """Returns when `sequence` is durable; raises PoisonedError when it never will be."""
        progress = self._progress
        while progress.durable < sequence:
            progress.raise_if_ended()
            self.hurry()
            if not progress.wait_durable(sequence, ASK_AGAIN_SECONDS):
                self.requested = False

    def request(self) -> None:
        """Everything written so far shall become durable, soon."""
        loop_syncs = self._loop_syncs
        if loop_syncs is None or not self._progress.visible_when_durable or not loop_syncs.take():
            self._ask_lane()

    def hurry(self) -> None:
        """As `request`, and without a pause before it: somebody waits."""
        self._ask_lane()
        self._hurry.put(None)

    def _ask_lane(self) -> None:
        if not self.requested:
            self._submit()

    def close(self) -> None:
        self._hurry.put(None)
        self._lane.close()
        if self._loop_syncs is not None:
            self._loop_syncs.close()

    def _submit(self) -> None:
        try:
            self.requested = True
            self._lane.submit(self._run)
        except BaseException:
            self.requested = False
            raise

    def _run(self) -> None:
        progress = self._progress
        if not progress.visible_when_durable:
            self._env.runner.rest(self._paced_from + PACE_SECONDS - self._env.clock.monotonic(), self._hurry)
            self._paced_from = self._env.clock.monotonic()
        self.requested = False
        target = progress.appended
        loop_syncs = self._loop_syncs
        try:
            if loop_syncs is not None:
                loop_syncs.pause()
            while progress.durable < target and not progress.ended:
                begun = self._env.clock.monotonic()
                progress.advance_durable(self._log.sync())
                self._durations.add(self._env.clock.monotonic() - begun)
        except OSError as error:
            progress.fail(PoisonedError(f"the log could not be synced: {error}; restart to recover"))
        except Exception as error:
            progress.fail(error)
        finally:
            if loop_syncs is not None:
                loop_syncs.go_on()
