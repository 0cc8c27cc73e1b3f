"""A switchover: the primary's role goes to a replica, and not one acknowledged write with it is lost.

    primary (this file)                                target (`takeover`)
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

    a death after            leaves                                    and then
    -----------------------  ----------------------------------------  ------------------------------------
    paused, durable, ready   the primary, with all its writes          it goes on as primary
    given (the record)       a replica whose record names the target   it repeats the grant when it starts
    demoted                  the same                                  the same
    taken                    the same; the target is primary           the target answers the grant that is
                                                                       repeated as it did before
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from replicad.daemon.open_store import OpenStore
from replicad.daemon.own_standing import OwnStanding
from replicad.daemon.roles.change_lock import ChangeLock
from replicad.daemon.roles.following import Following
from replicad.daemon.roles.peer_survey import PeerSurvey
from replicad.daemon.roles.role_memory import RoleMemory
from replicad.daemon.roles.stepping_down import demote, until_saved
from replicad.daemon.roles.switchover_steps import reached
from replicad.daemon.tasks import NodeTasks
from replicad.env import Clock
from replicad.env.events import get_logger
from replicad.env.reasons import reason_of
from replicad.errors import ReplicadError, RoleRefused, StoreError
from replicad.net.addresses import Address, address_of
from replicad.net.doors import Door
from replicad.replication.options import RoleOptions
from replicad.replication.policy.failover.cluster import Leader
from replicad.replication.policy.roles import Standing
from replicad.replication.primary.session import ReplicaSession
from replicad.replication.tasks import in_thread
from replicad.replication.wire.identify import Identity
from replicad.replication.wire.introduction import exchange, view_of
from replicad.replication.wire.messages import Grant, Handover, Hello, Ready, Refuse, StandingMessage
from replicad.store.database import Database
from replicad.types import Position

log = get_logger("replicad.daemon")

FreeLeadership = Callable[[str, float], Awaitable[Leader]]
"""Frees the leadership for the node of that id, within that time; who leads then. Raises RoleRefused."""

REPEAT_SECONDS_MAX = 0.1
"""Between two grants."""


def choose_target(sessions: Iterable[ReplicaSession], wanted: str | None) -> ReplicaSession:
    """The replica that is meant: by name, address, or beginning of its id; None: the one that is nearest.

    Raises RoleRefused when none, or more than one, is meant.
    """
    # One that fetches a copy has no data to take over with.
    streaming = [session for session in sessions if session.sender is not None]
    if wanted is None:
        if not streaming:
            raise RoleRefused("no replica is connected that could take over")
        # The one that has most is ready soonest, and writes wait until then.
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
    """The primary's side. Belongs to the event loop."""

    def __init__(
        self,
        identity: Identity,
        clock: Clock,
        options: RoleOptions,
        *,
        standing: OwnStanding,
        store: OpenStore,
        memory: RoleMemory,
        survey: PeerSurvey,
        following: Following,
        lock: ChangeLock,
        tasks: NodeTasks,
        door: Door,
        free_leadership: FreeLeadership | None = None,
    ) -> None:
        """`free_leadership`: where etcd decides who leads."""
        self._free_leadership = free_leadership
        self._identity = identity
        self._clock = clock
        self._options = options
        self._standing = standing
        self._store = store
        self._memory = memory
        self._survey = survey
        self._following = following
        self._lock = lock
        self._tasks = tasks
        self._door = door
        self._cancelled: asyncio.Event | None = None
        """Of the attempt that is under way."""

    def _not_a_primary(self) -> str:
        clients = self._memory.primary_clients
        where = f"; the primary is {clients}: say it to that one" if clients else ""
        return f"this node is {self._standing.current.value}, not a primary that could hand over{where}"

    # Up to the record: everything can be taken back.

    async def switch_over(self, target: str | None, *, timeout_seconds: float | None) -> str:
        """See the server's `Node.switch_over`."""
        seconds = timeout_seconds or self._options.switchover_seconds
        return await self._lock.run(partial(self._attempt, target, seconds))

    def cancel(self) -> bool:
        """Gives up the attempt that is under way; False if there is none, or if the role was given away."""
        if self._cancelled is None or not self._is_paused:
            return False
        self._cancelled.set()
        return True

    @property
    def _is_paused(self) -> bool:
        return self._standing.current is Standing.PAUSED

    async def _attempt(self, target: str | None, seconds: float) -> str:
        """The new primary's client address; RoleRefused when everything is as before."""
        self._cancelled = asyncio.Event()
        try:
            return await self._hand_over(target, seconds, self._cancelled)
        finally:
            self._cancelled = None

    async def _hand_over(self, target: str | None, seconds: float, cancelled: asyncio.Event) -> str:
        standing, store = self._standing, self._store
        if standing.current is not Standing.PRIMARY or store.feed is None or store.database is None:
            raise RoleRefused(self._not_a_primary())
        hello = choose_target(store.feed.sessions.values(), target).hello
        address = address_of(hello.replication)
        if address is None:
            raise RoleRefused("the replica did not say where its own replication listens")

        # Writes wait from here on, so there is a last position for the target to reach. Nothing is promised
        # to anybody yet: whatever goes wrong, the writes go on here.
        began = self._clock.monotonic()
        deadline = began + seconds
        standing.move(Standing.PAUSED)
        reached("paused")
        try:
            position = await self._until_ready(store.database, address, deadline, cancelled)
        except BaseException as error:
            # It may have been fenced meanwhile, and stays that.
            if self._is_paused:
                standing.move(Standing.PRIMARY)
            log.warning("switchover.rolled_back", reason=reason_of(error))
            if isinstance(error, ReplicadError | OSError):
                raise RoleRefused(f"rolled back, writes go on here: {error}") from error
            raise

        if self._free_leadership is not None:
            clients = await self._let_lead(self._free_leadership, hello, deadline)
            log.warning(
                "switchover.done", target=str(address), seconds=round(self._clock.monotonic() - began, 4)
            )
            return clients

        # The decision. The target's answer is awaited as long as the caller asked for, because the caller
        # wants to know; the role is the target's either way.
        epoch = position.epoch + 1
        await self.give_away(address, hello.clients, epoch)
        while isinstance(answer := await self._grant(address, epoch), str):
            if self._clock.monotonic() > deadline:
                self.refuse_writes()
                self._tasks.spawn(self.deliver_grant(address))
                raise RoleRefused(f"given to {address}, which takes over when it answers: {answer}")
            await asyncio.sleep(self._repeat_seconds)
        await self.given_away(epoch, address, address, answer.clients)
        log.warning("switchover.done", target=str(address), seconds=round(self._clock.monotonic() - began, 4))
        return hello.clients

    async def _let_lead(self, free_leadership: FreeLeadership, hello: Hello, deadline: float) -> str:
        """Where etcd decides: the target claims what this node gives up. Until it has begun its epoch this
        node can lead again; a death leaves a primary that asks etcd when it starts."""
        standing, memory = self._standing, self._memory
        standing.move(Standing.HANDING_OVER)
        try:
            leader = await free_leadership(hello.node.hex(), deadline - self._clock.monotonic())
        except RoleRefused as error:
            # It takes and acknowledges nothing before etcd says again that it leads.
            standing.move(Standing.PRIMARY)
            log.warning("switchover.rolled_back", reason=str(error))
            raise RoleRefused(f"rolled back: {error}") from error

        memory.primary, memory.primary_clients = address_of(leader.replication), leader.clients
        await until_saved(partial(demote, self._store), meanwhile=self.refuse_writes)
        assert memory.primary is not None
        await self._following.point_link_at(memory.primary, leader.clients)
        return leader.clients

    async def _until_ready(
        self, store: Database, address: Address, deadline: float, cancelled: asyncio.Event
    ) -> Position:
        """The last position, when it is durable here and at the target."""

        def left() -> float:
            seconds = deadline - self._clock.monotonic()
            if seconds <= 0:
                raise RoleRefused("the time ran out")
            return seconds

        # Durable here first: the position that the target reaches must not be lost with this node's power.
        await in_thread(store.wait_durable, store.appended_sequence, left())
        position = store.durable_position
        reached("durable")

        handover = Handover(self._identity.node, store.database_id, position, int(left() * 1000))
        asking = asyncio.ensure_future(exchange(*address, handover, seconds=left(), door=self._door))
        cancelling = asyncio.ensure_future(cancelled.wait())
        try:
            await asyncio.wait([asking, cancelling], return_when=asyncio.FIRST_COMPLETED)
            if cancelling.done():
                raise RoleRefused("it was cancelled")
            answer = await asking
        finally:
            asking.cancel()
            cancelling.cancel()
        if isinstance(answer, Refuse):
            raise RoleRefused(answer.reason)
        if not isinstance(answer, Ready) or answer.position != position:
            raise RoleRefused(f"the replica answered {answer}")
        reached("ready")

        # The target has everything only if nothing was written since: a pause that was detected, or a fence,
        # may have ended the standing in which writes wait.
        left()
        if not self._is_paused or store.durable_position != position:
            raise RoleRefused("the node changed meanwhile")
        return position

    # From the record on: the role is the target's.

    async def give_away(self, address: Address, clients: str, epoch: int) -> None:
        """Steps down for the node there, for good; this one is paused, and the other is ready. Raises
        RoleRefused if that could not be recorded: then writes go on here."""
        memory, before = self._memory, self._memory.record

        # The record comes before the grant is sent. In the other order a death between them would leave two
        # nodes that take writes.
        self._standing.move(Standing.HANDING_OVER)
        memory.primary, memory.primary_clients = address, clients
        try:
            await memory.save_following(self._store.epoch, granted_epoch=epoch)
        except StoreError as error:
            memory.record, memory.primary = before, None
            self._standing.move(Standing.PRIMARY)
            raise RoleRefused(f"rolled back, writes go on here: {error}") from error
        reached("given")

        # The decision stands, even if the disk is full now: writes that wait are refused meanwhile, and the
        # store is demoted when there is room.
        await until_saved(partial(demote, self._store), meanwhile=self.refuse_writes)
        reached("demoted")

    def refuse_writes(self) -> None:
        """Clients that wait are told where to go."""
        self._standing.move(Standing.FOLLOWING)

    async def deliver_grant(self, address: Address) -> None:
        """Repeats the grant until the target has begun the epoch, another node was promoted instead, or this
        node took its role back; then follows the primary."""
        epoch = self._memory.granted_epoch
        while epoch is not None and self._memory.granted_epoch == epoch:
            # Another node that was promoted by force has begun a later epoch. The target must not begin this
            # one any more: it would be fenced, and its writes discarded.
            other = await self._survey.primary_since(epoch, but=address)
            if other is not None and (instead := address_of(other.replication)) is not None:
                await self._lock.run_in_turn(partial(self.given_away, epoch, address, instead, other.clients))
                return

            answer = await self._grant(address, epoch)
            if not isinstance(answer, str):
                await self._lock.run_in_turn(
                    partial(self.given_away, epoch, address, address, answer.clients)
                )
                return
            await asyncio.sleep(self._repeat_seconds)

    async def given_away(self, epoch: int, target: Address, address: Address, clients: str) -> None:
        """The epoch has begun: the node at `address`, which is the target or was promoted before it, is
        primary. Does nothing if this node took its role back meanwhile."""
        memory = self._memory
        if memory.granted_epoch != epoch or self._standing.current not in (
            Standing.HANDING_OVER,
            Standing.FOLLOWING,
        ):
            return
        # An operator may have told this node to follow another one since.
        if memory.primary == target:
            await self._following.point_link_at(address, clients)
        await memory.save(self._store.epoch, granted_epoch=None)

    async def _grant(self, address: Address, epoch: int) -> StandingMessage | str:
        """Sends the grant once; what the target says of itself when it has begun the epoch, or why it has
        not."""
        store = self._store.database
        if store is None:
            return "the data of this node is being exchanged"
        grant = Grant(self._identity.node, store.database_id, store.durable_position, epoch)
        try:
            answer = await exchange(
                *address, grant, seconds=self._options.switchover_seconds, door=self._door
            )
            if isinstance(answer, StandingMessage) and view_of(answer).epoch >= epoch:
                reached("taken")
                return answer
            reason = answer.reason if isinstance(answer, Refuse) else f"{type(answer).__name__} came"
        except (OSError, ReplicadError) as error:
            reason = str(error)
        log.warning("switchover.not_taken", target=str(address), reason=reason)
        return reason

    @property
    def _repeat_seconds(self) -> float:
        return min(REPEAT_SECONDS_MAX, self._options.meet_seconds)
