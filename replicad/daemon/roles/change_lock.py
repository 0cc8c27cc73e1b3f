"""One change of role at a time.

A change that somebody asks for is refused while another one is under way: its outcome would depend on the
other's. A change that follows from what happened (a fence, a grant that was taken) must happen, so it waits
for its turn. Belongs to the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

from replicad.daemon.tasks import NodeTasks
from replicad.errors import RoleRefused

_Result = TypeVar("_Result")
Change: TypeAlias = Callable[[], Awaitable[_Result]]
"""A function, not a coroutine: nothing is left over of a change that never began."""


class ChangeLock:
    def __init__(self, tasks: NodeTasks) -> None:
        self.started = asyncio.Event()
        """Set when the node has written what it starts as. Changes wait for it: other nodes hear of this one,
        and it of them, before that record is written."""
        self._tasks = tasks
        self._lock = asyncio.Lock()
        self._stopping = False

    @property
    def is_taken(self) -> bool:
        return self._lock.locked()

    def stop(self) -> None:
        """Refuses every change from now on. The node ends those under way next, and then closes its store; a
        change that began after that would work on a closed store."""
        self._stopping = True

    async def run(self, change: Change[str]) -> str:
        """Runs a change to its end, also when the caller is cancelled. Raises RoleRefused if another one is
        under way."""
        await self.started.wait()
        if self._stopping:
            raise RoleRefused("this node is stopping")
        if self._lock.locked():
            raise RoleRefused("another change of role is under way")

        async def alone() -> str:
            async with self._lock:
                return await change()

        # The caller may be a client that goes away. A change that ended in the middle would leave the node
        # between two standings.
        result: str = await asyncio.shield(self._tasks.spawn(alone()))
        return result

    async def run_in_turn(self, change: Change[None]) -> None:
        """Runs a change when those under way have ended."""
        await self.started.wait()
        async with self._lock:
            await change()
