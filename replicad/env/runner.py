"""Background work: named lanes, each of which runs its jobs one after another.

The store asks for three lanes (log sync, flush, compaction). Production gives each a thread; a test or a
simulation runs the jobs itself.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from replicad.env import apart
from replicad.env.bells import Bells

if TYPE_CHECKING:
    import asyncio

    from replicad.env.doorbell import Doorbell

T = TypeVar("T")

RETRY_SECONDS = 0.1
"""How long a job waits that had no memory to begin with."""


class Lane(Protocol):
    def submit(self, job: Callable[[], None]) -> None:
        """Queues a job. A job must not raise: what it finds wrong it records itself."""
        ...

    def close(self) -> None:
        """Runs what is queued, then ends; returns when it has ended."""
        ...


class Runner(Protocol):
    def lane(self, name: str) -> Lane: ...

    def bells(self) -> Bells:
        """What threads wait with for something that the jobs of a lane do."""
        ...

    def doorbell(self, loop: asyncio.AbstractEventLoop, heard: Callable[[], None], /) -> Doorbell | None:
        """How a thread that works for `loop` without the interpreter wakes it. None: no thread does, and what
        one would do is a lane's job."""
        ...

    def apart(self, job: Callable[[], T], /) -> T:
        """Runs `job`, which no exception from outside can split; see `env.apart`."""
        ...

    def rest(self, seconds: float, bell: queue.SimpleQueue[None], /) -> None:
        """Within a job that is paced: returns after `seconds`, or as soon as somebody rings; the bell is
        silent then."""
        ...

    def dropped(self, close: Callable[[], None], /) -> None:
        """Called by the finalizer of something that nobody closed."""
        ...

    def given_up(self) -> bool:
        """Asked by long work that runs apart: whether nobody waits for it any more."""
        ...


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
        apart.belongs_here()
        while (job := self._jobs.get()) is not None:
            while True:
                try:
                    job()
                    break
                except MemoryError:  # Somebody waits for what it does.
                    time.sleep(RETRY_SECONDS)


class ThreadRunner:
    """One thread a lane."""

    def lane(self, name: str) -> Lane:
        return ThreadLane(f"replicad-{name}")

    def bells(self) -> Bells:
        return Bells()

    def doorbell(self, loop: asyncio.AbstractEventLoop, heard: Callable[[], None], /) -> Doorbell | None:
        from replicad.env.doorbell import Doorbell  # A short command needs no asyncio.

        return Doorbell(loop, heard)

    def apart(self, job: Callable[[], T], /) -> T:
        return apart.apart(job)

    def rest(self, seconds: float, bell: queue.SimpleQueue[None], /) -> None:
        try:
            bell.get(timeout=max(0.0, seconds))
            while True:
                bell.get_nowait()
        except queue.Empty:
            pass

    def dropped(self, close: Callable[[], None], /) -> None:
        apart.when_dropped(close)

    def given_up(self) -> bool:
        return apart.given_up()
