"""Background work: named lanes, each of which runs its jobs one after another.

The store asks for three lanes (log sync, flush, compaction). Production gives each a thread; a test or a
simulation runs the jobs itself.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Protocol


class Lane(Protocol):
    def submit(self, job: Callable[[], None]) -> None:
        """Queues a job. A job must not raise: what it finds wrong it records itself."""
        ...

    def close(self) -> None:
        """Runs what is queued, then ends; returns when it has ended."""
        ...


class Runner(Protocol):
    def lane(self, name: str) -> Lane: ...


class ThreadLane:
    """A daemon thread that lives until `close`."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], None]) -> None:
        self._jobs.put(job)

    def close(self) -> None:
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


class ThreadRunner:
    """One thread a lane."""

    def lane(self, name: str) -> Lane:
        return ThreadLane(f"replicad-{name}")
