"""Heartbeats out, silence in: what both sides run beside everything else after the identification."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from replicad.env import Clock
from replicad.errors import PeerTimeoutError
from replicad.replication.connection import Connection
from replicad.replication.messages import Heartbeat
from replicad.types import Position


async def keep_alive(
    connection: Connection,
    clock: Clock,
    position: Callable[[], Position],
    *,
    heartbeat_seconds: float,
    idle_seconds: float,
    send_seconds: float,
) -> None:
    """Never returns; raises PeerTimeoutError when the peer has been silent for `idle_seconds`, or has taken
    nothing of what waits for it for `send_seconds`."""
    while True:
        connection.send(Heartbeat(position(), clock.wall_us()))
        await asyncio.sleep(heartbeat_seconds)
        idle = connection.idle_seconds()
        if idle > idle_seconds:
            raise PeerTimeoutError(f"nothing came from {connection.peer} for {idle:.1f} s")
        stuck = connection.stuck_seconds()
        if stuck > send_seconds:
            raise PeerTimeoutError(f"{connection.peer} took nothing for {stuck:.1f} s")
