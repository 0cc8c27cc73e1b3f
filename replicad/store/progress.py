"""How far the store has come: appended, visible and durable sequence numbers, and who waits for them.

    durable <= appended;  visible is durable under "sync", appended under "async"

Single integers are read without a lock. Whoever moves one calls `moved`, which wakes blocked threads,
awaiting tasks and subscribers.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from heapq import heappop, heappush
from itertools import count

from replicad.errors import ClosedError, PoisonedError
from replicad.types import Position, Sequence


class Progress:
    def __init__(self, recovered: Position, *, visible_when_durable: bool) -> None:
        self.appended: int = recovered.sequence
        self.visible: int = recovered.sequence
        self.durable = recovered.sequence
        self.durable_position = recovered
        self.failure: BaseException | None = None
        self.closed = False
        self.ended = False
        """Closed or failed."""
        self.visible_when_durable = visible_when_durable
        self.changed = threading.Condition()
        self.watched = False
        """Somebody is to be told when a number moves. Who starts to watch sets it before looking at the
        numbers, and who moves one looks at it after: so nobody is missed. Written under `changed`."""
        self._blocked = 0
        self._listeners: tuple[Callable[[], None], ...] = ()
        self._awaiting: list[tuple[Sequence, int, asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._ties = count()

    def advance_appended(self, sequence: int) -> None:
        """Under the write lock."""
        self.appended = sequence
        if not self.visible_when_durable:
            self.visible = sequence
            if self.watched:
                self.moved()

    def advance_durable(self, position: Position) -> None:
        with self.changed:
            if position.sequence >= self.durable:
                # Visible first: a flush waits for what is durable, and then drops what older readers saw.
                if self.visible_when_durable:
                    self.visible = position.sequence
                self.durable_position = position
                self.durable = position.sequence
        self.moved()

    def fail(self, failure: BaseException) -> None:
        """The store is poisoned: nothing more becomes visible or durable."""
        if self.failure is None:
            self.failure = failure
            self.ended = True
        self.moved()

    def close(self) -> None:
        self.closed = True
        self.ended = True
        self.moved()

    def moved(self) -> None:
        if self._blocked:
            with self.changed:
                self.changed.notify_all()
        if self._awaiting:
            self._wake_tasks()
        for listener in self._listeners:
            try:
                listener()
            except Exception:
                self._unsubscribe(listener)

    def raise_if_ended(self) -> None:
        if self.failure is not None:
            raise PoisonedError(f"the store stopped: {self.failure}") from self.failure
        if self.closed:
            raise ClosedError("the database is closed")

    def wait(self, condition: Callable[[], bool], timeout: float | None = None) -> bool:
        """Blocks until the condition holds (True) or the time is over (False); raises if the store ended."""
        with self.changed:
            self._blocked += 1
            self.watched = True
            try:
                self.changed.wait_for(lambda: condition() or self.ended, timeout)
            finally:
                self._blocked -= 1
                self._look_who_watches()
        if condition():
            return True
        self.raise_if_ended()
        return False

    def wait_visible(self, sequence: Sequence, timeout: float | None = None) -> bool:
        return self.visible >= sequence or self.wait(lambda: self.visible >= sequence, timeout)

    def visible_future(self, sequence: Sequence) -> asyncio.Future[None]:
        """A future of the running loop, done when `sequence` is visible or the store ended."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self.changed:
            heappush(self._awaiting, (sequence, next(self._ties), loop, future))
            self.watched = True
        self._wake_tasks()
        return future

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """A listener that raises (its loop was closed, for instance) is not called again."""
        with self.changed:
            self._listeners = (*self._listeners, listener)
            self.watched = True
        return lambda: self._unsubscribe(listener)

    def _unsubscribe(self, listener: Callable[[], None]) -> None:
        with self.changed:
            self._listeners = tuple(other for other in self._listeners if other is not listener)
            self._look_who_watches()

    def _look_who_watches(self) -> None:
        self.watched = bool(self._blocked or self._awaiting or self._listeners)

    def _wake_tasks(self) -> None:
        ended = self.ended
        ready = []
        with self.changed:
            while self._awaiting and (ended or self._awaiting[0][0] <= self.visible):
                ready.append(heappop(self._awaiting))
            self._look_who_watches()
        for sequence, _, loop, future in ready:
            with suppress(RuntimeError):  # The loop was closed: nobody waits there any more.
                loop.call_soon_threadsafe(self._finish, sequence, future)

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
