"""How long ago a primary surely had nothing that is not durable here: what its heartbeats tell replicas.

    visible at some moment <= durable now      nothing from before that moment is missing

Under "sync" that moment is always now. Under "async" writes are shown and acknowledged before they are
durable, and it is one before the last sync.
"""

from __future__ import annotations

from replicad.env import Clock
from replicad.store.database import Database


class DurableAge:
    """Any thread, without a lock: of the moments that threads note at once each is true, and any will do."""

    def __init__(self, clock: Clock, store: Database) -> None:
        """`store` is listened to from here on, until it is closed."""
        self._clock = clock
        self._store = store
        self._fresh_at: float | None = None
        self._next = self._now()
        store.subscribe(self._moved)

    def seconds(self) -> float | None:
        """Ask before `durable_position` is read. None: not known."""
        now = at, visible = self._now()
        if self._store.durable_sequence >= visible:
            self._fresh_at, self._next = at, now
            return 0.0
        fresh_at = self._fresh_at
        return None if fresh_at is None else at - fresh_at

    def _moved(self) -> None:
        at, visible = self._next
        if self._store.durable_sequence >= visible:
            self._fresh_at, self._next = at, self._now()

    def _now(self) -> tuple[float, int]:
        """The time is taken first: nothing that is visible then is after the sequence number."""
        return self._clock.awake(), self._store.latest_sequence
