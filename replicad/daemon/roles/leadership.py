"""Whether this node leads, and may acknowledge: asked before every acknowledgement.

    no leadership ──took──> led, not stated ──stated──> may acknowledge, until the right ends
          ^                                                  │  ^ kept, or vouched for
          └────────────────── lost ──────────────────────────┴──┘

`replication.policy.failover.right` says until when. Belongs to the event loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from replicad.env import Clock
from replicad.env.events import get_logger
from replicad.replication.policy.failover.right import Right

log = get_logger("replicad.daemon")


class Leadership:
    def __init__(self, clock: Clock, *, ttl_seconds: float, margin_seconds: float) -> None:
        self._clock = clock
        self.right = Right(ttl_seconds, margin_seconds)
        self._listeners: list[Callable[[], None]] = []

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls the listener after the right may have become longer; returns how to end that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def may_acknowledge(self) -> bool:
        return self.right.may_acknowledge(self._clock.awake())

    @property
    def seconds_left(self) -> float:
        """How long it may still acknowledge; 0 when it may not."""
        now = self._clock.awake()
        return self.right.until - now if self.right.may_acknowledge(now) else 0.0

    def took(self, kept_at: float) -> None:
        """etcd names this node, with a lease that was prolonged by a request sent at that time."""
        before, self.right = self.right, replace(self.right, leads=True, kept_at=kept_at)
        if not before.leads:
            log.info("failover.leadership_taken")
        self._changed()

    def stated(self, is_stated: bool) -> None:
        self.right = replace(self.right, is_stated=is_stated)
        self._changed()

    def kept(self, kept_at: float) -> None:
        """The lease that holds the leadership goes on."""
        if self.right.leads:
            self.right = replace(self.right, kept_at=max(self.right.kept_at, kept_at))
            self._changed()

    def vouched(self, asked_at: float) -> None:
        """Every member, asked at that time, has said that it follows this node."""
        if self.right.leads:
            self.right = replace(self.right, vouched_at=max(self.right.vouched_at, asked_at))
            self._changed()

    def lost(self) -> None:
        if self.right.leads:
            log.warning("failover.leadership_lost")
        self.right = self.right.lost()

    def _changed(self) -> None:
        for listener in list(self._listeners):
            listener()
