"""How far the store has come: appended, visible and durable sequence numbers, and who waits for them.

    durable <= appended;  visible is durable under "sync", appended under "async"

Single integers are read without a lock. The code that moves one calls `moved`, which wakes blocked threads,
awaiting tasks and subscribers.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from heapq import heappop, heappush
from itertools import count

from replicad.env import Bells
from replicad.errors import ClosedError, PoisonedError
from replicad.types import Position, Sequence


class LogProgress:
    """Nothing that a writer calls here takes a lock which an interrupted thread could keep."""

    def __init__(
        self, recovered: Position, *, visible_when_durable: bool, new_bells: Callable[[], Bells] = Bells
    ) -> None:
        self.appended: int = recovered.sequence
        """Set by the kernel's Appender, as `visible` under "async"."""
        self.visible: int = recovered.sequence
        self.durable = recovered.sequence
        self.durable_position = recovered

        self.failure: BaseException | None = None
        self.closed = False
        self.ended = False
        """Closed or failed."""
        self.forked = False
        """This process is a child of the one that opened the database."""

        self.visible_when_durable = visible_when_durable
        self.changed = new_bells()
        self.synced = new_bells()
        """Rung for what becomes durable: who waits for that is not woken by each write."""

        self._watching = threading.RLock()
        """Guards what follows. Reentrant: a finalizer may write, wherever memory is allocated, and report it
        here."""
        self._listeners: tuple[Callable[[], None], ...] = ()
        self._awaiting: list[tuple[Sequence, int, asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._ties = count()

    @property
    def watched(self) -> bool:
        """Whether somebody waits for a number to move. A watcher shows here before it looks at the numbers,
        and a thread that moves one looks here afterwards, so no watcher is missed."""
        return bool(self.changed.waiting or self._listeners or self._awaiting)

    def begin_at(self, position: Position) -> None:
        """Called when the log was replayed, by the only thread that knows the database: all of it is durable
        and visible."""
        self.appended = position.sequence
        self.visible = position.sequence
        self.durable = position.sequence
        self.durable_position = position

    def advance_appended(self, sequence: int) -> None:
        """Under the write lock."""
        self.appended = sequence
        if not self.visible_when_durable:
            self.visible = sequence
            if self.watched:
                self.moved()

    def advance_durable(self, position: Position) -> None:
        """On the thread that syncs; a change of role waits for it first."""
        if position.sequence >= self.durable:
            # Visible first: a flush waits for what is durable, and then drops what older readers saw.
            if self.visible_when_durable:
                self.visible = position.sequence
            self.durable_position = position
            self.durable = position.sequence
        self.synced.ring()
        self.moved()

    def fail(self, failure: BaseException) -> None:
        """The store is poisoned: nothing more becomes visible or durable."""
        if self.failure is None:
            self.failure = failure
            self.ended = True
        self.synced.ring()
        self.moved()

    def close(self) -> None:
        self.closed = True
        self.ended = True
        self.synced.ring()
        self.moved()

    def moved(self) -> None:
        self.changed.ring()
        if self._awaiting:
            self._wake_tasks()
        for listener in self._listeners:
            try:
                listener()
            except Exception:
                self._unsubscribe(listener)

    def raise_if_ended(self) -> None:
        if self.forked:
            raise ClosedError(
                "this process was forked from the one that opened the database: open it after the fork, "
                "in one of the two"
            )
        if self.failure is not None:
            raise PoisonedError(f"the store stopped: {self.failure}") from self.failure
        if self.closed:
            raise ClosedError("the database is closed")

    def wait(self, condition: Callable[[], bool], timeout: float | None = None) -> bool:
        """Blocks until the condition holds (True) or the time is over (False); raises if the store ended."""
        return self._wait(self.changed, condition, timeout)

    def wait_visible(self, sequence: Sequence, timeout: float | None = None) -> bool:
        return self.visible >= sequence or self.wait(lambda: self.visible >= sequence, timeout)

    def wait_durable(self, sequence: Sequence, timeout: float | None = None) -> bool:
        return self.durable >= sequence or self._wait(self.synced, lambda: self.durable >= sequence, timeout)

    def _wait(self, bells: Bells, condition: Callable[[], bool], timeout: float | None) -> bool:
        bells.wait_for(lambda: condition() or self.ended, timeout)
        if condition():
            return True
        self.raise_if_ended()
        return False

    def visible_future(self, sequence: Sequence) -> asyncio.Future[None]:
        """A future of the running loop, done when `sequence` is visible or the store ended."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._watching:
            heappush(self._awaiting, (sequence, next(self._ties), loop, future))
        self._wake_tasks()
        return future

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """A listener that raises (its loop was closed, for instance) is not called again."""
        with self._watching:
            self._listeners = (*self._listeners, listener)
        return lambda: self._unsubscribe(listener)

    def _unsubscribe(self, listener: Callable[[], None]) -> None:
        with self._watching:
            self._listeners = tuple(other for other in self._listeners if other is not listener)

    def _wake_tasks(self) -> None:
        ended = self.ended
        with self._watching:
            while self._awaiting and (ended or self._awaiting[0][0] <= self.visible):
                first = self._awaiting[0]
                sequence, _, loop, future = first
                # Told before it is forgotten, for an exception may come between; told twice does no harm.
                with suppress(RuntimeError):  # The loop was closed: nobody waits there any more.
                    loop.call_soon_threadsafe(self._finish, sequence, future)
                if self._awaiting and self._awaiting[0] is first:
                    heappop(self._awaiting)

    def _finish(self, sequence: Sequence, future: asyncio.Future[None]) -> None:
        if future.done():
            return
        if self.visible >= sequence:
            future.set_result(None)
            return
        try:
            self.raise_if_ended()
        except (ClosedError, PoisonedError) as error:
            future.set_exception(error)
