"""Where a command's work runs when it would hold up the loop: in threads, or as tasks that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

_LOOK_UP_THREADS = 2

Result = TypeVar("Result")


class Workers:
    """Look-ups of moments have threads of their own: they must not wait for walks over all the data."""

    def __init__(self, loop: asyncio.AbstractEventLoop, threads_max: int) -> None:
        self.tasks: set[asyncio.Task[bytes]] = set()
        self._loop = loop
        self._threads = ThreadPoolExecutor(threads_max, thread_name_prefix="resp")
        self._look_ups = ThreadPoolExecutor(_LOOK_UP_THREADS, thread_name_prefix="resp-look-up")

    def run(self, work: Callable[[], Result]) -> asyncio.Future[Result]:
        """Work of any length, in a thread."""
        return self._loop.run_in_executor(self._threads, work)

    def look_up(self, work: Callable[[], Result]) -> asyncio.Future[Result]:
        """What a thread finds in moments."""
        return self._loop.run_in_executor(self._look_ups, work)

    def start(self, work: Coroutine[Any, Any, bytes]) -> asyncio.Task[bytes]:
        """What waits on the loop. `tasks` keeps it: the loop refers to its tasks weakly."""
        task = self._loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def close(self) -> None:
        """Waits for what runs in threads; what has not begun never does."""
        for threads in (self._threads, self._look_ups):
            await asyncio.to_thread(threads.shutdown, cancel_futures=True)
