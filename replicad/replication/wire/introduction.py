"""Two nodes tell each other who they are: one message there, one back, on a connection of its own.

    asker ── STANDING ──> asked          both judge what they heard (`roles.judge`)
    asker <── STANDING ── asked

A node that stood still finds the message when it runs again. So a primary that was replaced meanwhile hears
of it, even when the asker has stopped waiting for an answer.
"""

from __future__ import annotations

import asyncio

from replicad.errors import PeerTimeoutError, ProtocolError
from replicad.net.doors import CLEAR, Door
from replicad.replication.policy.roles import Standing, View
from replicad.replication.wire.connection import dial
from replicad.replication.wire.messages import Message, StandingMessage


async def exchange(host: str, port: int, message: Message, *, seconds: float, door: Door = CLEAR) -> Message:
    """Sends one message to the node at a replication address, and returns its answer.

    Raises OSError, PeerTimeoutError or ProtocolError.
    """
    try:
        async with asyncio.timeout(seconds):
            connection = await dial(host, port, door)
            try:
                connection.send(message)
                return await connection.receive()
            finally:
                connection.close()
    except TimeoutError:
        raise PeerTimeoutError(f"{host}:{port} did not answer within {seconds:g} s") from None


async def ask(
    host: str, port: int, mine: StandingMessage, *, seconds: float, door: Door = CLEAR
) -> StandingMessage:
    """Who the node at a replication address is; it hears who we are."""
    answer = await exchange(host, port, mine, seconds=seconds, door=door)
    if not isinstance(answer, StandingMessage):
        raise ProtocolError(f"{answer.KIND.name} came where STANDING belongs")
    return answer


def view_of(message: StandingMessage) -> View:
    """What the message says of its sender; raises ProtocolError for a standing that this version lacks."""
    try:
        standing = Standing(message.standing)
    except ValueError:
        raise ProtocolError(f"{message.standing!r} is not a standing of a node") from None
    return View(
        message.node, standing, message.database, message.position, message.epochs, granted=message.granted
    )
