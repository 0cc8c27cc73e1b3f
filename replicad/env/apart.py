"""Work that no exception from outside can split.

The handler of a signal runs in the main thread between any two bytecodes, and what it raises
(KeyboardInterrupt, a time limit) comes out of whatever runs there. Work that changes several things
together therefore runs in a thread of its own while its caller waits: the exception comes out of the
waiting, and the work is done whole.
"""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

BEGIN_SECONDS = 1.0
"""A thread that has not begun its work after so long is not waited for: another thread gets the work."""
BEGIN_TRIES = 3
"""After this many threads the caller gets MemoryError: a thread ends before it begins for want of memory."""

_here = threading.local()


def belongs_here() -> None:
    """Called by a thread of ours, which no signal reaches: what it runs apart runs at once."""
    _here.call = None


def given_up() -> bool:
    """Whether the caller of the work that runs in this thread was interrupted: long work ends early then."""
    call = getattr(_here, "call", None)
    return call is not None and call.given_up


def apart(job: Callable[[], T]) -> T:
    """Returns what `job` returns, or raises what it raises; it runs from its beginning to its end, or not
    at all.

    Raises MemoryError when no thread can begin with it for want of memory.
    When the caller is interrupted the work is told (`given_up`), and the exception goes on when it has ended;
    a second one does not wait for that.
    """
    if hasattr(_here, "call"):
        return job()
    for _ in range(BEGIN_TRIES):
        call = _Call(job)
        try:
            _thread.start_new_thread(call.run, ())
            begun = call.wait()
        except BaseException:
            call.given_up = True
            if not call.claim("caller"):
                call.wait()
            raise
        if begun:
            return call.result()
    raise MemoryError("no thread could begin its work, which is left undone")


def when_dropped(job: Callable[[], None]) -> None:
    """`apart` for a finalizer, which the garbage collector may run in any thread: one of ours may hold what
    the job waits for, so there nobody waits for the job."""
    if hasattr(_here, "call"):
        _thread.start_new_thread(_Call(job).run, ())
    else:
        apart(job)


class _Call(Generic[T]):
    """One piece of work. Each step of the hand-over is a single call into C, which nothing can split."""

    def __init__(self, job: Callable[[], T]) -> None:
        self.given_up = False
        self._ended = False
        self._end = _thread.allocate_lock()
        self._end.acquire()
        self._job = job
        self._claimed: dict[str, str] = {}
        self._results: list[T] = []
        self._error: BaseException | None = None

    def claim(self, who: str) -> bool:
        """The first who claims it decides: the thread, that the work is done, or the caller, that it never
        begins."""
        return self._claimed.setdefault("by", who) == who

    def run(self) -> None:
        try:
            if not self.claim("thread"):
                return
            _here.call = self
            self._results.append(self._job())
        except BaseException as error:
            self._error = error
        finally:
            try:
                del self._job
                # Up to Python 3.12 threading keeps an entry of each thread that it did not start and was
                # asked for.
                getattr(threading, "_active", {}).pop(threading.get_ident(), None)
            finally:  # Also when there is no memory for that: somebody waits.
                self._ended = True
                self._end.release()

    def wait(self) -> bool:
        """Returns when the work has ended; False when it will never begin, because its thread ended before
        its first step (there was no memory). May be called again after an exception came out of it."""
        while not self._ended:
            ended = self._end.acquire(timeout=-1 if self._claimed else BEGIN_SECONDS)
            if not ended and self.claim("caller"):
                return False
        return True

    def result(self) -> T:
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # Its traceback holds this frame, which holds it.
        return self._results.pop()
