"""Small things that sessions do with asyncio, each in one right way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

Result = TypeVar("Result")
Args = ParamSpec("Args")


async def in_thread(function: Callable[Args, Result], /, *args: Args.args, **kwargs: Args.kwargs) -> Result:
    """Runs a blocking call in a thread. When the caller is cancelled it first waits for the call to end, so
    that whatever the call uses can be closed afterwards."""
    loop = asyncio.get_running_loop()
    return await to_its_end(loop.run_in_executor(None, lambda: function(*args, **kwargs)))


async def to_its_end(work: Awaitable[Result]) -> Result:
    """Awaits what must not be left half done. A caller that is cancelled first waits for the end of it, and
    does not learn which end that was."""
    job = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        while not job.done():
            try:
                await asyncio.wait([job])
            except asyncio.CancelledError:
                continue
        if not job.cancelled():
            job.exception()
        raise


async def beside(main: Coroutine[Any, Any, Result], *others: Coroutine[Any, Any, Any]) -> Result:
    """Runs `main` while the others run; they end with it. The first error of any of them ends all and is
    raised bare."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(other) for other in others]
            result = await main
            for task in tasks:
                task.cancel()
            return result
    except BaseExceptionGroup as errors:
        me = asyncio.current_task()
        if me is not None and me.cancelling():
            # The group forgets a cancellation that came together with an error.
            raise asyncio.CancelledError from None
        raise _first(errors) from None
    finally:
        main.close()


async def together(*coroutines: Coroutine[Any, Any, Any]) -> list[Any]:
    """Runs all of them; their results in order. The first error of any ends all and is raised bare."""
    # Not a TaskGroup: in Python 3.11 it leaves its owner cancelled when a task fails while it is waited for.
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class Wakeup:
    """An event that any thread sets. Sets that come before the loop's next turn cost nothing."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._event = asyncio.Event()
        self._pending = False

    def notify(self) -> None:
        """From any thread, at any time, also after the loop was closed."""
        if not self._pending:
            self._pending = True
            try:
                # The loop's own thread need not wake the loop: that would be a system call.
                if threading.get_ident() == self._thread:
                    self._loop.call_soon(self._set)
                else:
                    self._loop.call_soon_threadsafe(self._set)
            except RuntimeError:  # the loop is closed: nobody waits
                pass

    async def wait(self) -> None:
        """Returns when `notify` was called since the last `clear`."""
        await self._event.wait()

    def clear(self) -> None:
        """Look at what is waited for after this, never before."""
        self._event.clear()

    def _set(self) -> None:
        self._pending = False
        self._event.set()
