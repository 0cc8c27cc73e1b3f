"""The standing of this node at the moment, in one place for all parts.

`replication.policy.roles` draws the standings and the moves between them. Belongs to the event loop; the
changes of role and the pause detector write it, all other parts read it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from replicad.env.events import get_logger
from replicad.replication.policy.roles import MOVES, Standing

log = get_logger("replicad.daemon")


class OwnStanding:
    def __init__(self) -> None:
        self.current = Standing.FOLLOWING
        self._listeners: list[Callable[[], None]] = []

    @property
    def role(self) -> Literal["primary", "replica"]:
        return self.current.role

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Calls the listener after every move, before `move` returns."""
        self._listeners.append(listener)

    def begin_as(self, standing: Standing) -> None:
        """Sets the standing at the start of the node, when nobody is served yet."""
        self.current = standing

    def move(self, standing: Standing) -> None:
        """Takes an arrow of the drawing; clients are answered accordingly before this returns."""
        if standing is self.current:
            return
        assert standing in MOVES[self.current], (self.current, standing)
        log.info("role.changed", before=self.current.value, now=standing.value)
        self.current = standing
        for listener in self._listeners:
            listener()

    def doubt(self) -> None:
        """Moves to DOUBTING without telling the listeners: this is called while clients are being answered.
        Their answers wait from this moment on."""
        assert Standing.DOUBTING in MOVES[self.current], self.current
        self.current = Standing.DOUBTING
