"""A primary that lost log takes it back from a node that has it: as that node's replica, for this one stream.

HELLO, CLAIM ──> DECISION stream ──> FRAMES until this node has what the other had ──> the connection ends
"""

from __future__ import annotations

import asyncio

from replicad.env import Env
from replicad.errors import PeerTimeoutError, ReplicationError
from replicad.replication.intake import DirectIntake
from replicad.replication.options import ReplicationOptions
from replicad.replication.policy.agree import Outcome
from replicad.replication.ports import Dial
from replicad.replication.replica.receiver import Receiver
from replicad.replication.tasks import Wakeup, beside
from replicad.replication.wire.connection import Connection
from replicad.replication.wire.framing import PAYLOAD_BYTES_MAX
from replicad.replication.wire.identify import (
    FEATURES,
    Identity,
    Whereabouts,
    check_welcome,
    hello_from,
)
from replicad.replication.wire.keepalive import keep_alive
from replicad.replication.wire.messages import (
    Decided,
    Heartbeat,
    Message,
    PositionClaim,
    Refuse,
    newest_epochs,
)
from replicad.store.database import Database


async def take_back(
    env: Env,
    identity: Identity,
    at: Whereabouts,
    store: Database,
    dial: Dial,
    options: ReplicationOptions,
) -> None:
    """Returns when the store, a replica's, has what the other node had when it was asked.

    Raises ReplicadError or OSError: the other one went away, gave nothing for too long, or has another
    history. What it gave until then is in the store.
    """
    async with asyncio.timeout(options.connect_seconds):
        connection = await dial()
    try:
        async with asyncio.timeout(options.handshake_seconds):
            goal = await _agree(identity, at, store, connection)

        def beat() -> Heartbeat:
            clock = env.clock
            return Heartbeat(store.durable_position, clock.wall_us(), sent_us=int(clock.awake() * 1e6))

        receiver = Receiver(DirectIntake(store), connection, options, on_primary=lambda *_: None)
        alive = keep_alive(
            connection,
            beat,
            heartbeat_seconds=options.heartbeat_seconds,
            idle_seconds=options.idle_seconds,
            send_seconds=options.send_seconds,
        )
        await beside(_until_at(store, goal, options.idle_seconds), receiver.run(), alive)
    finally:
        connection.close()


async def _agree(me: Identity, at: Whereabouts, store: Database, connection: Connection) -> int:
    """The sequence number that the other node was at when it decided to stream."""
    connection.send(hello_from(me, at, store.database_id, FEATURES))
    check_welcome(await _received(connection), me)
    connection.allow_payloads(PAYLOAD_BYTES_MAX)
    connection.send(PositionClaim(store.position, store.durable_sequence, newest_epochs(store.epochs)))
    decided = await _received(connection)
    if not isinstance(decided, Decided) or decided.outcome != Outcome.STREAM.value:
        raise ReplicationError(f"it gives nothing back: {getattr(decided, 'reason', decided.KIND.name)}")
    return decided.position.sequence


async def _received(connection: Connection) -> Message:
    message = await connection.receive()
    while isinstance(message, Heartbeat):
        message = await connection.receive()
    if isinstance(message, Refuse):
        raise ReplicationError(f"refused: {message.reason}")
    return message


async def _until_at(store: Database, goal: int, seconds: float) -> None:
    """Raises PeerTimeoutError when nothing more came for so long."""
    wakeup = Wakeup()
    unsubscribe = store.subscribe(wakeup.notify)
    try:
        while store.position.sequence < goal:
            before = store.position.sequence
            try:
                async with asyncio.timeout(seconds):
                    while store.position.sequence == before:
                        wakeup.clear()
                        if store.position.sequence == before:
                            await wakeup.wait()
            except TimeoutError:
                raise PeerTimeoutError(f"nothing came after {before}, and {goal} is there") from None
    finally:
        unsubscribe()
