"""Waiting for a condition instead of sleeping.

`eventually` is for threads and processes, `until` for tasks of one loop, `let_tasks_run` for what a task must
*not* do: it has no condition that comes true.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

STEP_SECONDS_MAX = 1.0
"""More than that between two looks counts as this much: the whole machine may have stood still."""
PAUSE_SECONDS_MAX = 0.05
"""A look may be a request, which costs the process that answers it: the longer it takes, the fewer looks."""
ROUNDS = 10
"""As many steps as a chain of tasks that wake each other may have."""


def eventually(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Returns when the condition holds; fails when it does not within `seconds`."""
    left, looked_at, pause = seconds, time.monotonic(), 0.002
    while not condition():
        assert left > 0, f"not true within {seconds} s"
        time.sleep(pause)
        pause = min(1.3 * pause, PAUSE_SECONDS_MAX)
        now = time.monotonic()
        left, looked_at = left - min(now - looked_at, STEP_SECONDS_MAX), now


async def until(condition: Callable[[], object], seconds: float = 20.0, *, pause: float = 0.002) -> None:
    """The same in an event loop, which goes on meanwhile. With a `pause` of 0 it looks in every round of the
    loop: for what may be over soon."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(pause)


async def let_tasks_run() -> None:
    """Every task that can go on does, and those that it wakes. Enough where nothing comes from outside the
    loop: no thread, no socket, no timer."""
    for _ in range(ROUNDS):
        await asyncio.sleep(0)


def stays(condition: Callable[[], object], seconds: float) -> None:
    """Fails when the condition ceases to hold within `seconds`. Only for what no event bounds: say why."""
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        assert condition()
        time.sleep(0.01)
