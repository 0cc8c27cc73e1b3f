"""Waiting for what becomes true when the store moves: a position that is visible, a write that is durable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Conditions:
    """The conditions that somebody waits for. The loop's thread owns them."""

    def __init__(self) -> None:
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    def __len__(self) -> int:
        return len(self._waiters)

    async def wait_until(self, condition: Callable[[], bool], timeout_seconds: float | None) -> bool:
        """Waits until the condition holds; False when the time is over. None is for ever."""
        if condition():
            return True
        waiter = (condition, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout_seconds):
                await waiter[1]
        except TimeoutError:
            return condition()
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
        return True

    def check(self) -> None:
        """Looks at every condition, and wakes those who wait for one that holds by now."""
        for waiter in list(self._waiters):
            condition, future = waiter
            if condition():
                self._waiters.remove(waiter)
                if not future.done():
                    future.set_result(None)
