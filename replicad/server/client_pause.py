"""CLIENT PAUSE: for a time, commands that write wait, or all commands that read or write keys.

    CLIENT PAUSE --> begin --> commands wait in their client's backlog --> the time is over, or UNPAUSE
                                          └─> the node ends: they are dropped, and none of them was done

Commands that neither read nor write keys are executed meanwhile: the pause can be seen and ended. What was
taken before the pause is committed and answered. Belongs to the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import IntEnum

from replicad.env.events import get_logger

log = get_logger()


class Paused(IntEnum):
    """What waits; the greater one includes the smaller."""

    NOTHING = 0
    WRITES = 1
    ALL = 2


class ClientPause:
    def __init__(self, loop: asyncio.AbstractEventLoop, now: Callable[[], float]) -> None:
        self.paused = Paused.NOTHING
        self._loop = loop
        self._now = now
        self._ends_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: dict[object, Callable[[], None]] = {}

    @property
    def seconds_left(self) -> float:
        return 0.0 if self.paused is Paused.NOTHING else max(0.0, self._ends_at - self._now())

    @property
    def waiting(self) -> int:
        """Clients."""
        return len(self._waiting)

    def begin(self, paused: Paused, seconds: float) -> None:
        """As in Redis, a second pause can only extend the first: the later end and the greater one count."""
        self.paused = max(self.paused, paused)
        self._ends_at = max(self._ends_at, self._now() + seconds)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(self.seconds_left, self.end)
        log.warning("server.paused", commands=self.paused.name.lower(), seconds=round(self.seconds_left, 3))

    def end(self) -> None:
        """Has everyone who waits go on, in the order in which they came."""
        if self.paused is Paused.NOTHING:
            return
        log.info("server.unpaused", clients=len(self._waiting))
        waiting = self._stop()
        for go_on in waiting.values():
            self._loop.call_soon(go_on)

    def drop(self) -> set[object]:
        """The node ends: those who wait never go on. Returns them."""
        return set(self._stop())

    def holds(self, *, reads: bool, writes: bool) -> bool:
        """Whether a command that does this waits now."""
        return (writes and self.paused >= Paused.WRITES) or (reads and self.paused is Paused.ALL)

    def wait(self, client: object, go_on: Callable[[], None]) -> None:
        """Has `go_on` called at the end of the pause."""
        self._waiting[client] = go_on

    def forget(self, client: object) -> None:
        """It is gone."""
        self._waiting.pop(client, None)

    def _stop(self) -> dict[object, Callable[[], None]]:
        self.paused, self._ends_at = Paused.NOTHING, 0.0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, {}
        return waiting
