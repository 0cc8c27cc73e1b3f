"""The background tasks of a node: anything that must go on although the caller went away.

They belong to the node. It ends them when it closes, and an error that it cannot survive ends the node.
Belongs to the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from replicad.env.events import get_logger, unbound
from replicad.errors import PoisonedError, ReplicadError, RoleRefused

log = get_logger("replicad.daemon")


class NodeTasks:
    def __init__(self) -> None:
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """The error that ends the node, once there is one; the first counts."""
        # The node may end for another reason first. Looking at the error here keeps asyncio from complaining
        # that nobody did.
        self.failure.add_done_callback(lambda failure: failure.exception())
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, job: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Runs the job in a task of the node. Its events have nothing of the session that begins it."""
        task = asyncio.create_task(job, context=unbound())
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def fail(self, error: BaseException) -> None:
        """Ends the node with this error."""
        if not self.failure.done():
            self.failure.set_exception(error)

    async def cancel(self) -> None:
        """Cancels all tasks, and returns when they have ended."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        # A refusal is an answer to the caller, not a failure.
        if error is None or isinstance(error, RoleRefused):
            return

        log.error("role.change_failed", reason=str(error))
        # After most errors of the disk or of a peer the node is what it was before. It must not go on with a
        # store that stopped, nor after a bug.
        survivable = isinstance(error, ReplicadError | OSError) and not isinstance(error, PoisonedError)
        if not survivable:
            self.fail(error)
