"""A switchover: the primary's role goes to a replica, and not one acknowledged write with it is lost.

    primary                                            target
    paused: writes wait, all that is written
    is durable, at position P
       ── HANDOVER P ─────────────────────────────────> applies and syncs through P
       <──────────────────────────────────── READY P ──
    record: "given to the target, epoch e"                              <- the one moment that decides
    demoted: the store takes no writes
       ── GRANT e, at its last position ──────────────> follows nobody, begins epoch e, takes writes
       <────────────────────────── STANDING, epoch e ──
    follows; clients that waited are told where

Until the record everything can be taken back, and is, by a timeout, an error or a restart: the target has
promised nothing and remembers nothing. From the record on the old primary never writes again; it repeats the
grant, through restarts of either side, until the target has begun the epoch, or another node was promoted by
force. So at every moment at most one of the two may write, and a kill of either leaves exactly one that will.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

import structlog

from replicad.daemon.addresses import Address
from replicad.daemon.roles.peers import address_of
from replicad.errors import ReplicadError, RoleRefused
from replicad.replication.policy.epoch_proof import EPOCH_STEP_MAX
from replicad.replication.policy.roles import Standing
from replicad.replication.primary.node import ReplicaSession
from replicad.replication.tasks import Wakeup, in_thread
from replicad.replication.wire.meeting import exchange, view_of
from replicad.replication.wire.messages import Grant, Handover, Message, Ready, Refuse
from replicad.replication.wire.messages import StandingMessage as StandingMessage
from replicad.store.database import Database
from replicad.types import Position

if TYPE_CHECKING:
    from replicad.daemon.program import NodeProgram

log = structlog.get_logger("replicad.daemon")


def reached(step: str) -> None:
    """Every step passes here, in the order of the drawing."""
    log.info("switchover.reached", step=step)


def choose_target(sessions: Iterable[ReplicaSession], wanted: str | None) -> ReplicaSession:
    """The replica that is meant: by name, address, or beginning of its id; None: the one that is nearest.

    Raises RoleRefused when none, or more than one, is meant.
    """
    streaming = [session for session in sessions if session.sender is not None]
    if wanted is None:
        if not streaming:
            raise RoleRefused("no replica is connected that could take over")
        return max(streaming, key=lambda session: session.sender.ack.durable if session.sender else 0)
    found = [
        session
        for session in streaming
        if wanted in (session.hello.name, session.hello.clients, session.hello.replication)
        or (len(wanted) >= 4 and session.hello.node.hex().startswith(wanted.lower()))
    ]
    if len(found) != 1:
        shown = ", ".join(s.hello.name or s.hello.clients for s in streaming) or "none"
        which = "more than one replica is" if found else "no connected replica is"
        raise RoleRefused(f"{which} {wanted!r}; connected are: {shown}")
    return found[0]


class Switchover:
    """The primary's side: one attempt, under the lock of the node's changes."""

    def __init__(self, node: NodeProgram, wanted: str | None, timeout_seconds: float) -> None:
        self._node = node
        self._wanted = wanted
        self._timeout_seconds = timeout_seconds
        self._cancelled = asyncio.Event()

    def cancel(self) -> None:
        """Gives it up, unless the role was given away already."""
        self._cancelled.set()

    async def run(self) -> str:
        """The new primary's client address; RoleRefused when everything is as before."""
        node = self._node
        if node.standing is not Standing.PRIMARY or node.holding.feed is None or node.store is None:
            raise RoleRefused(f"this node is {node.standing.value}, not a primary that could hand over")
        hello = choose_target(node.holding.feed.sessions.values(), self._wanted).hello
        address = address_of(hello.replication)
        if address is None:
            raise RoleRefused("the replica did not say where its own replication listens")
        clock = node.env.clock
        began, deadline = clock.monotonic(), clock.monotonic() + self._timeout_seconds
        node.roles.move(Standing.PAUSED)
        reached("paused")
        try:
            position = await self._until_ready(node.store, address, deadline)
        except BaseException as error:
            if node.roles.is_paused:
                node.roles.move(Standing.PRIMARY)
            log.warning("switchover.rolled_back", reason=str(error) or type(error).__name__)
            if isinstance(error, ReplicadError | OSError):
                raise RoleRefused(f"rolled back, writes go on here: {error}") from error
            raise
        epoch = position.epoch + 1
        await node.roles.give_away(address, hello.clients, epoch)
        while isinstance(answer := await _grant(node, address, epoch), str):
            if clock.monotonic() > deadline:
                node.roles.refuse_writes()
                node.spawn(deliver_grant(node, address))
                raise RoleRefused(f"given to {address}, which takes over when it answers: {answer}")
            await asyncio.sleep(_pause_seconds(node))
        await node.roles.given_away(epoch, address, address, answer.clients)
        log.warning("switchover.done", target=str(address), seconds=round(clock.monotonic() - began, 4))
        return hello.clients

    async def _until_ready(self, store: Database, address: Address, deadline: float) -> Position:
        node = self._node

        def left() -> float:
            seconds = deadline - node.env.clock.monotonic()
            if seconds <= 0:
                raise RoleRefused("the time was over")
            return seconds

        await in_thread(store.wait_durable, store.appended_sequence, left())
        position = store.durable_position
        reached("durable")
        handover = Handover(node.identity.node, store.database_id, position, int(left() * 1000))
        asking = asyncio.ensure_future(exchange(*address, handover, seconds=left()))
        cancelled = asyncio.ensure_future(self._cancelled.wait())
        try:
            await asyncio.wait([asking, cancelled], return_when=asyncio.FIRST_COMPLETED)
            if cancelled.done():
                raise RoleRefused("it was cancelled")
            answer = await asking
        finally:
            asking.cancel()
            cancelled.cancel()
        if isinstance(answer, Refuse):
            raise RoleRefused(answer.reason)
        if not isinstance(answer, Ready) or answer.position != position:
            raise RoleRefused(f"the replica answered {answer}")
        reached("ready")
        left()
        if not node.roles.is_paused or store.durable_position != position:
            raise RoleRefused("the node changed meanwhile")
        return position


async def deliver_grant(node: NodeProgram, address: Address) -> None:
    """Goes on telling the target that the role is its own, beside all else, until it has it, another node was
    promoted instead, or this node took the role back; then follows who is primary."""
    epoch = node.memory.granted_epoch
    while epoch is not None and node.memory.granted_epoch == epoch:
        other = await node.certainty.primary_since(epoch, but=address)
        if other is not None and (instead := address_of(other.replication)) is not None:
            await node.roles.in_turn(node.roles.given_away(epoch, address, instead, other.clients))
            return
        answer = await _grant(node, address, epoch)
        if not isinstance(answer, str):
            await node.roles.in_turn(node.roles.given_away(epoch, address, address, answer.clients))
            return
        await asyncio.sleep(_pause_seconds(node))


async def _grant(node: NodeProgram, address: Address, epoch: int) -> StandingMessage | str:
    """Tells it once; what the target says of itself when it has begun the epoch, or why it has not."""
    store = node.store
    if store is None:
        return "the data of this node is being exchanged"
    grant = Grant(node.identity.node, store.database_id, store.durable_position, epoch)
    try:
        answer = await exchange(*address, grant, seconds=node.config.roles.switchover_seconds)
        if isinstance(answer, StandingMessage) and view_of(answer).epoch >= epoch:
            reached("taken")
            return answer
        reason = answer.reason if isinstance(answer, Refuse) else f"{type(answer).__name__} came"
    except (OSError, ReplicadError) as error:
        reason = str(error)
    log.warning("switchover.not_taken", target=str(address), reason=reason)
    return reason


def _pause_seconds(node: NodeProgram) -> float:
    """Between two grants."""
    return min(0.1, node.config.roles.meet_seconds)


# The target's side.


async def get_ready(node: NodeProgram, message: Handover) -> Message:
    """Answers when the position is here, durably."""
    store = node.store
    if store is None or store.database_id != message.database or node.standing is not Standing.FOLLOWING:
        return Refuse("not-following", "this node does not follow that database", False)
    if await _until_at(store, message.position, message.within_ms / 1000):
        reached("target-ready")
        return Ready(message.position)
    return Refuse("behind", f"this node is at {store.durable_position}, not at {message.position}", True)


async def take_over(node: NodeProgram, message: Grant) -> None:
    """Begins the epoch, unless it has begun; RoleRefused when it may not."""
    store = node.store
    if store is None or store.database_id != message.database:
        raise RoleRefused("this node has another database")
    if store.durable_position.epoch >= message.epoch:
        return
    if message.epoch - store.durable_position.epoch >= EPOCH_STEP_MAX:
        raise RoleRefused(f"nobody gave epoch {message.epoch} to a node in {store.durable_position.epoch}")
    if not await _until_at(store, message.position, node.config.roles.switchover_seconds):
        raise RoleRefused(f"this node is at {store.durable_position}, not at {message.position}")
    reached("granted")
    await node.roles.change(_take_over(node, message))


async def _has_given(node: NodeProgram, message: Grant) -> bool:
    """Whether the node that gives its role says so where it is known to be: anybody can send a grant."""
    peer, primary = node.peers.get(message.node), node.memory.primary
    known = {primary, None if peer is None else address_of(peer.replication)}
    addresses = [address for address in known if address is not None]
    answers = await node.peers.ask_all(addresses, node.config.roles.ask_seconds)
    return any(answer.node == message.node and answer.granted == message.epoch for answer in answers)


async def _take_over(node: NodeProgram, message: Grant) -> str:
    if node.standing is Standing.FOLLOWING:
        await node.link.stop()
        # Until here it followed, maybe another than the node that gives its role.
        store = node.store
        if store is None or store.database_id != message.database or store.position != message.position:
            if node.memory.primary is not None:
                node.link.start()
            raise RoleRefused(f"this node is not at {message.position} any more")
        if not await _has_given(node, message):
            if node.memory.primary is not None:
                node.link.start()
            raise RoleRefused(f"{message.node.hex()} does not say that it gave epoch {message.epoch} away")
        reached("alone")
        await node.roles.begin_epoch(message.epoch)
        reached("begun")
    return ""


async def _until_at(store: Database, position: Position, seconds: float) -> bool:
    """Whether the store is at the position, durably, within so long."""
    wakeup = Wakeup()
    unsubscribe = store.subscribe(wakeup.notify)
    try:
        async with asyncio.timeout(seconds):
            while store.durable_position.sequence < position.sequence and store.failed is None:
                wakeup.clear()
                if store.durable_position.sequence < position.sequence:
                    await wakeup.wait()
    except TimeoutError:
        pass
    finally:
        unsubscribe()
    return store.durable_position == position
