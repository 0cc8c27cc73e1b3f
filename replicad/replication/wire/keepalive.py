"""Heartbeats out, silence in: what both sides run during all that follows the identification."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from replicad.env import Clock
from replicad.errors import PeerTimeoutError
from replicad.replication.wire.connection import Connection
from replicad.replication.wire.messages import Heartbeat
from replicad.types import Position


class Echo:
    """What a primary's heartbeats on one connection tell the replica about its age.

    The replica's clock goes back to it, so that it knows for itself when what it hears was still to come,
    however long that was on its way.
    """

    def __init__(
        self,
        connection: Connection,
        clock: Clock,
        position: Callable[[], Position],
        age_seconds: Callable[[], float | None],
        *,
        answer_seconds: float,
    ) -> None:
        """`age_seconds`: see `PrimaryNode`. Heartbeats are answered at most once in `answer_seconds`."""
        self._connection = connection
        self._clock = clock
        self._position = position
        self._age_seconds = age_seconds
        self._answer_seconds = answer_seconds
        self._answered_at = float("-inf")
        self._taken_us: int | None = None

    def beat(self) -> Heartbeat:
        """The heartbeat to send now."""
        age = self._age_seconds()
        return Heartbeat(
            self._position(),
            self._clock.wall_us(),
            echo_us=self._taken_us,
            age_us=None if age is None else math.ceil(age * 1e6),
        )

    def answer(self, heartbeat: Heartbeat) -> None:
        """At once, so that the replica's data is never thought to be older by a whole interval."""
        if not heartbeat.sent_us:
            return
        self._taken_us, now = heartbeat.sent_us, self._clock.monotonic()
        if now - self._answered_at >= self._answer_seconds:
            self._answered_at = now
            self._connection.send(self.beat())


async def keep_alive(
    connection: Connection,
    beat: Callable[[], Heartbeat],
    *,
    heartbeat_seconds: float,
    idle_seconds: float,
    send_seconds: float,
) -> None:
    """Never returns; raises PeerTimeoutError when the peer has been silent for `idle_seconds`, or has taken
    nothing of what waits for it for `send_seconds`."""
    while True:
        connection.send(beat())
        await asyncio.sleep(heartbeat_seconds)
        idle = connection.idle_seconds()
        if idle > idle_seconds:
            raise PeerTimeoutError(f"nothing came from {connection.peer} for {idle:.1f} s")
        stuck = connection.stuck_seconds()
        if stuck > send_seconds:
            raise PeerTimeoutError(f"{connection.peer} took nothing for {stuck:.1f} s")
