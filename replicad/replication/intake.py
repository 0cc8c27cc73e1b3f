"""Where a replica puts the log that it receives: into its store at once, or into log that waits.

A stream, a catch-up and an agreement know this side only. `position` is where the next frames have to begin,
and `durable_position` what may be acknowledged as durable; `applied_sequence` is what readers see.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol

from replicad.options import KIB
from replicad.replication.tasks import Wakeup, in_thread
from replicad.store.database import Database
from replicad.types import EpochRecord, Position

INLINE_BYTES_MAX = 256 * KIB
"""One or two milliseconds of small frames: a thread would cost more than they do."""
ROOM_SECONDS = 1.0
"""How often a replica whose received log is full looks whether there is room, at least."""


class LogIntake(Protocol):
    """Belongs to the event loop; listeners are called from any thread."""

    @property
    def position(self) -> Position: ...
    @property
    def durable_position(self) -> Position: ...
    @property
    def applied_sequence(self) -> int: ...
    @property
    def epochs(self) -> tuple[EpochRecord, ...]: ...

    @property
    def delays(self) -> bool:
        """Whether what was taken, or will be now, may be durable before it is applied."""
        ...

    @property
    def refusal(self) -> str | None:
        """Why nothing more may be received, until what waits was applied; None when there is room."""
        ...

    @property
    def stalled(self) -> str | None:
        """Why the next frames have to wait for a while, as a store's `stalled`."""
        ...

    @property
    def cuts(self) -> int:
        """How often something was lost that had been taken: the session has to begin anew."""
        ...

    @property
    def failed(self) -> BaseException | None: ...

    async def take(self, frames: bytes) -> Position:
        """Takes whole frames of one epoch; the position after them.

        Raises GapError, DivergedError or CorruptionError before anything is changed, WaitingLogFullError, and
        what the store raises.
        """
        ...

    def hurry_sync(self) -> None:
        """Somebody waits for what was taken to be durable."""
        ...

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls `listener` after any of these moved; returns how to end that."""
        ...


class DirectIntake:
    """Straight into the store: what is received is applied."""

    delays = False
    refusal = None
    cuts = 0

    def __init__(self, store: Database) -> None:
        self._store = store
        self.hurry_sync = store.hurry_sync
        self.subscribe = store.subscribe

    @property
    def position(self) -> Position:
        return self._store.position

    @property
    def durable_position(self) -> Position:
        return self._store.durable_position

    @property
    def applied_sequence(self) -> int:
        return self._store.latest_sequence

    @property
    def epochs(self) -> tuple[EpochRecord, ...]:
        return self._store.epochs

    @property
    def stalled(self) -> str | None:
        return self._store.stalled

    @property
    def failed(self) -> BaseException | None:
        return self._store.failed

    async def take(self, frames: bytes) -> Position:
        # A store that stalls would block the event loop.
        if len(frames) <= INLINE_BYTES_MAX and not self._store.stalled:
            return self._store.apply_frames(frames)
        return await in_thread(self._store.apply_frames, frames)


async def until_room(intake: LogIntake) -> None:
    """Returns when it takes log again, or never will."""
    moved = Wakeup()
    unsubscribe = intake.subscribe(moved.notify)
    try:
        while True:
            moved.clear()
            if intake.refusal is None or intake.failed is not None:
                return
            # Nobody tells that the disk has room again, or that the limit was raised.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ROOM_SECONDS):
                    await moved.wait()
    finally:
        unsubscribe()
