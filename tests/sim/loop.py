"""An event loop in virtual time: nothing waits, and everything that may happen in any order is drawn.

Each callback belongs to the process whose context it carries (`PROCESS`), or to the world outside: tasks and
callbacks inherit it. So one loop runs all nodes, and those of a dead process are simply never run again, as
nothing of a killed process runs: no `finally`, no cancellation.

Threads do not exist: what an executor is given runs in line, whole, a random moment later.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import sys
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextvars import Context, ContextVar
from heapq import heappop
from itertools import count
from typing import Any, Protocol

STEP_SECONDS = 1e-5
"""What a round of callbacks takes, so that a loop which never waits gets somewhere in time."""
THREAD_SECONDS_MAX = 0.004


class Deadlock(Exception):
    """Nobody will ever do anything any more."""


class OutOfTime(Exception):
    """The simulation went on for longer than anything in it may take."""


class Process(Protocol):
    """Whose callbacks they are."""

    alive: bool
    paused: bool
    backlog: list[asyncio.Handle]
    """What waits for the process to go on."""

    def local_time(self, now: float) -> float: ...
    def world_time(self, local: float) -> float: ...


PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)

_serial = count()


def begin() -> None:
    """Everything counts from the start again."""
    global _serial
    _serial = count()


class SimTask(asyncio.Task[Any]):
    """Sets of tasks are walked in the same order in every process."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self._serial = next(_serial)
        super().__init__(*arguments, **keywords)
        # Of a killed process it stays pending for ever.
        self._log_destroy_pending = False

    def __hash__(self) -> int:
        return self._serial


class SimFuture(asyncio.Future[Any]):
    """As SimTask."""

    def __init__(self, *, loop: asyncio.AbstractEventLoop) -> None:
        self._serial = next(_serial)
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self._serial


class VirtualLoop(asyncio.BaseEventLoop):
    """`network` connects and listens; `on_error` is told of what no task catches."""

    def __init__(self, draw: random.Random, on_error: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self.now = 0.0
        self.ends_at = float("inf")
        self.rounds = 0
        self.network: Any = None
        self._draw = draw
        self._kept: list[asyncio.Task[Any]] = []
        """All there were: a coroutine that is forgotten would run its `finally`."""
        self._jobs: dict[int, tuple[object, deque[Callable[[], None]]]] = {}
        self.set_exception_handler(lambda loop, context: on_error(context))
        self.set_task_factory(self._make_task)  # type: ignore[arg-type]

    # Time and order.

    def time(self) -> float:
        """The clock of the process that asks."""
        process = PROCESS.get()
        return self.now if process is None else process.local_time(self.now)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        process = PROCESS.get()
        when = when if process is None else process.world_time(when)
        return super().call_at(when, callback, *args, context=context)

    def _run_once(self) -> None:
        ready: deque[asyncio.Handle] = self._ready  # type: ignore[attr-defined]
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        while timers and timers[0]._cancelled:
            heappop(timers)._scheduled = False  # type: ignore[attr-defined]
        self.rounds += 1
        self.now += STEP_SECONDS
        if not ready:
            if not timers:
                raise Deadlock("nothing is left to wait for")
            self.now = max(self.now, timers[0].when())
        if self.now > self.ends_at:
            raise OutOfTime(f"not over at {self.now:.1f} s")
        while timers and timers[0].when() <= self.now:
            timer = heappop(timers)
            timer._scheduled = False  # type: ignore[attr-defined]
            ready.append(timer)
        batch = list(ready)
        ready.clear()
        if len(batch) > 1:
            self._draw.shuffle(batch)
        for handle in batch:
            if handle._cancelled:
                continue
            process: Process | None = handle._context.get(PROCESS)  # type: ignore[attr-defined]
            if process is not None:
                if not process.alive:
                    continue
                if process.paused:
                    process.backlog.append(handle)
                    continue
            handle._run()

    def wake(self, process: Process) -> None:
        """It goes on where it stood."""
        process.paused = False
        self._ready.extend(process.backlog)  # type: ignore[attr-defined]
        process.backlog.clear()

    def _write_to_self(self) -> None:
        pass

    def _check_closed(self) -> None:
        """Coroutines that the end of a simulation finds half-way may still ask for things, in vain."""

    def _process_events(self, event_list: object) -> None:
        pass

    # What tasks are made of.

    def create_future(self) -> asyncio.Future[Any]:
        return SimFuture(loop=self)

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, coroutine: Generator[Any, None, Any], **keywords: Any
    ) -> SimTask:
        task = SimTask(coroutine, loop=loop, **keywords)
        if PROCESS.get() is not None:
            self._kept.append(task)
        return task

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, function: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Those with one thread take their jobs in order."""
        future = self.create_future()

        def run() -> None:
            try:
                result = function(*args)
            except Exception as error:
                if not future.cancelled():
                    future.set_exception(error)
            else:
                if not future.cancelled():
                    future.set_result(result)

        delay = self._draw.random() ** 4 * THREAD_SECONDS_MAX
        if getattr(executor, "_max_workers", 0) != 1:
            self.call_later(delay, run)
            return future
        _, jobs = self._jobs.setdefault(id(executor), (executor, deque()))
        jobs.append(run)
        self.call_later(delay, lambda: jobs.popleft()())
        return future

    # The network.

    async def create_server(self, *args: Any, **keywords: Any) -> Any:
        return self.network.listen(*args)

    async def create_connection(self, *args: Any, **keywords: Any) -> Any:
        return await self.network.connect(*args)


def run(loop: VirtualLoop, main: Any) -> None:
    """Runs `main` to its end."""
    gc.disable()
    try:
        loop.run_until_complete(main)
    finally:
        gc.enable()


@contextlib.contextmanager
def torn_down() -> Iterator[None]:
    """What a simulation leaves half-way is thrown away at the end of this, without a word."""
    complaint, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        yield
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            gc.collect()
    finally:
        sys.unraisablehook = complaint
