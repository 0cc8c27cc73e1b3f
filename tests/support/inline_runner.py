"""Background work without threads: jobs wait in a queue until somebody runs them, in an order that repeats.

A caller who would block for background work runs it instead; when there is none left to run, that is a
deadlock, and an assertion.
"""

from __future__ import annotations

import asyncio
import queue
import random
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from replicad.env import Bells, Env, FileSystem

Job = Callable[[], None]
T = TypeVar("T")


class InlineRunner:
    """The lanes of one store. Which lane's job is next is drawn when there is a `choice`, else by age."""

    def __init__(self, choice: random.Random | None = None) -> None:
        self._choice = choice
        self._jobs: deque[tuple[str, Job]] = deque()
        self._busy: set[str] = set()
        """Lanes that run a job which waits: a lane runs one after another."""

    def lane(self, name: str) -> InlineLane:
        return InlineLane(self, name)

    def submit(self, name: str, job: Job) -> None:
        self._jobs.append((name, job))

    def run_one(self, name: str | None = None) -> bool:
        """Runs the oldest job of a lane, drawn or given; False when there is none."""
        waiting = dict.fromkeys(lane for lane, _ in self._jobs if name in (None, lane))
        lanes = [lane for lane in waiting if lane not in self._busy]
        if not lanes:
            return False
        chosen = lanes[0] if self._choice is None else self._choice.choice(lanes)
        entry = next(entry for entry in self._jobs if entry[0] == chosen)
        self._jobs.remove(entry)
        self._busy.add(chosen)
        try:
            entry[1]()
        finally:
            self._busy.discard(chosen)
        return True

    def bells(self) -> Bells:
        return _RunningBells(self)

    def doorbell(self, loop: asyncio.AbstractEventLoop, heard: Callable[[], None], /) -> None:
        return None

    def apart(self, job: Callable[[], T], /) -> T:
        return job()

    def rest(self, seconds: float, bell: queue.SimpleQueue[None], /) -> None:
        """Nothing: time passes here by what happens."""

    def dropped(self, close: Callable[[], None], /) -> None:
        """Nothing: here a database that is dropped is one whose machine has died."""

    def given_up(self) -> bool:
        return False

    def run_all(self) -> None:
        while self.run_one():
            pass


class InlineLane:
    def __init__(self, runner: InlineRunner, name: str) -> None:
        self._runner = runner
        self._name = name

    def submit(self, job: Job) -> None:
        self._runner.submit(self._name, job)

    def close(self) -> None:
        while self._runner.run_one(self._name):
            pass


class _RunningBells(Bells):
    def __init__(self, runner: InlineRunner) -> None:
        super().__init__()
        self._runner = runner

    def wait_for(self, condition: Callable[[], bool], timeout: float | None = None) -> bool:
        while not condition():
            # Most wait for a sync; what else is run meanwhile only when there is none.
            if not self._runner.run_one("log-sync") and not self._runner.run_one() and not condition():
                assert timeout is not None, "somebody waits, and no background work is left: a deadlock"
                return False
        return True


class TickingClock:
    """Goes on by itself: a second and a microsecond a look, so that nothing that is paced ever waits."""

    def __init__(self) -> None:
        self._seconds = 1000.0
        self._wall_us = 1_700_000_000_000_000

    def monotonic(self) -> float:
        self._seconds += 1.0
        return self._seconds

    def awake(self) -> float:
        return self.monotonic()

    def wall_us(self) -> int:
        self._wall_us += 1
        return self._wall_us

    def wall_ns(self) -> int:
        return self.wall_us() * 1000


class SeededRandom:
    """The same ids for the same seed."""

    def __init__(self, seed: int) -> None:
        self._source = random.Random(seed)

    def bytes(self, count: int) -> bytes:
        return self._source.randbytes(count)

    def uniform(self, low: float, high: float) -> float:
        return self._source.uniform(low, high)


def inline_env(fs: FileSystem, runner: InlineRunner, seed: int = 1) -> Env:
    """An environment in which everything happens in one thread and is the same for one seed."""
    return Env(fs=fs, clock=TickingClock(), random=SeededRandom(seed), runner=runner)
