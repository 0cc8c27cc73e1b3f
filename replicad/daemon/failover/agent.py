"""The failover of a node: looks at etcd again and again, and does what `failover.turn` says.

    every keepalive_seconds, and more often while nobody leads:
      lease          granted, or prolonged
      one look       this node's member key is written, all keys are read; at once
      one turn       lead, reclaim, step down, follow, claim, give up, or wait

An error of etcd's changes nothing: what it did is unknown, and the next look tells. Belongs to the event
loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace

from replicad.daemon.data.node_data import NodeData
from replicad.daemon.failover.candidacy import Candidacy
from replicad.daemon.failover.clients import LeaderAnnouncement, sentinel_view
from replicad.daemon.failover.failsafe import FailsafeWatch
from replicad.daemon.failover.handing_over import HandingOver
from replicad.daemon.failover.keys import (
    Keys,
    epoch_is,
    epoch_value,
    leader_value,
    member_value,
    status_value,
)
from replicad.daemon.failover.leading import Leading
from replicad.daemon.failover.lease import NodeLease
from replicad.daemon.failover.promises import Promises
from replicad.daemon.failover.telling import Telling
from replicad.daemon.open_store import OpenStore
from replicad.daemon.own_addresses import OwnAddresses
from replicad.daemon.own_standing import OwnStanding
from replicad.daemon.records import NodeRecords
from replicad.daemon.roles.change_lock import ChangeLock
from replicad.daemon.roles.fencing import Fencing
from replicad.daemon.roles.following import Following
from replicad.daemon.roles.leadership import Leadership
from replicad.daemon.roles.node_link import NodeLink
from replicad.daemon.roles.peers import Peers
from replicad.daemon.roles.promotion import Promotion
from replicad.daemon.roles.role_memory import RoleMemory
from replicad.daemon.tasks import NodeTasks
from replicad.env import Clock
from replicad.env.events import get_logger
from replicad.errors import EtcdError, RoleRefused
from replicad.etcd.calls import Delete, Etcd, HasRevision, IsAbsent, Operation, Put, Read
from replicad.net.addresses import Address, address_of
from replicad.net.doors import Door
from replicad.replication.failover_options import FailoverOptions
from replicad.replication.options import RoleOptions
from replicad.replication.policy.failover.cluster import Cluster, Leader, Member
from replicad.replication.policy.failover.election import why_not_known
from replicad.replication.policy.failover.turn import Me, NextTurn, Pace, Turn, decide
from replicad.replication.wire.identify import Identity
from replicad.server.interfaces import SentinelView

log = get_logger("replicad.daemon")

QUICK = 5
"""This many looks in the time of one while nobody leads, or a change is expected."""
HURRY_SECONDS = 10.0
"""How long a change is expected that was announced."""


class FailoverAgent:
    def __init__(
        self,
        identity: Identity,
        clock: Clock,
        options: FailoverOptions,
        roles: RoleOptions,
        etcd: Etcd,
        *,
        durability: str,
        records: NodeRecords,
        leadership: Leadership,
        standing: OwnStanding,
        store: OpenStore,
        data: NodeData,
        memory: RoleMemory,
        peers: Peers,
        link: NodeLink,
        addresses: OwnAddresses,
        fencing: Fencing,
        following: Following,
        promotion: Promotion,
        lock: ChangeLock,
        tasks: NodeTasks,
        door: Door,
        publish: Callable[[bytes, bytes], None],
    ) -> None:
        """`publish` says a message to the clients that have subscribed to a channel."""
        self._identity = identity
        self._me = identity.node.hex()
        self._clock = clock
        self.options = options
        self.etcd = etcd
        self.leadership = leadership
        self._standing = standing
        self._store = store
        self._data = data
        self._memory = memory
        self._peers = peers
        self._link = link
        self._addresses = addresses
        self._fencing = fencing
        self._following = following
        self._tasks = tasks

        self.cluster: Cluster | None = None
        """What etcd said last; None before it said anything."""
        self._last_leader: Leader | None = None
        """That had begun."""
        self.unreachable: str | None = None
        """Why the last look failed, or None."""
        self.decision = NextTurn(Turn.WAIT, "it has not looked at etcd yet")
        self._absent_since: float | None = None
        self._hurries_until = 0.0
        self._is_settled = False
        self._now = asyncio.Event()
        self._looked = asyncio.Event()
        self._telling = Telling()
        self._only_reads = False
        """The last look failed, and it had something to say: an etcd without room takes nothing, and would be
        read."""
        self._announcement = LeaderAnnouncement(options.service_name, publish)
        self._election: asyncio.Task[str] | None = None

        self._lease = NodeLease(
            etcd, clock, ttl_seconds=options.ttl_seconds, keepalive_seconds=options.keepalive_seconds
        )
        self.promises = Promises(
            identity,
            clock,
            roles,
            etcd,
            ttl_seconds=options.ttl_seconds,
            standing=standing,
            store=store,
            memory=memory,
            link=link,
            fencing=fencing,
            lock=lock,
        )
        self.failsafe = FailsafeWatch(
            identity,
            clock,
            ttl_seconds=options.ttl_seconds,
            keepalive_seconds=options.keepalive_seconds,
            ask_seconds=roles.ask_seconds,
            leadership=leadership,
            store=store,
            door=door,
            address_of=self.address_of,
        )
        self.leading = Leading(
            identity,
            etcd,
            durability=durability,
            records=records,
            leadership=leadership,
            failsafe=self.failsafe,
            store=store,
            own_leader=self._own_leader,
            lease=lambda: self._lease.id,
        )
        self._candidacy = Candidacy(
            identity,
            clock,
            roles,
            etcd,
            ttl_seconds=options.ttl_seconds,
            lease=self._lease,
            leadership=leadership,
            promises=self.promises,
            store=store,
            memory=memory,
            link=link,
            promotion=promotion,
            lock=lock,
            addresses=addresses,
            door=door,
            address_of=self.address_of,
            standing=lambda: standing.current,
        )
        self.handing_over = HandingOver(
            self._me,
            etcd,
            lag_bytes_max=options.lag_bytes_max,
            leadership=leadership,
            fresh=self.fresh,
            next_look=self._next_look,
            look_soon=self.look_soon,
        )
        standing.subscribe(self.look_soon)

    # While the node runs.

    async def run(self) -> None:
        """Never returns."""
        while True:
            self._now.clear()
            await self.look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_seconds()):
                    await self._now.wait()

    def look_soon(self) -> None:
        self._now.set()

    def hurry(self) -> None:
        """A change of the leader is expected: looks often for a while."""
        self._hurries_until = self._clock.awake() + HURRY_SECONDS
        self.look_soon()

    async def _next_look(self) -> Cluster | None:
        """What the next look finds, which comes soon; None where etcd does not answer it."""
        self.hurry()
        self._looked.clear()
        await self._looked.wait()
        return self.cluster if self.unreachable is None else None

    async def close(self) -> None:
        """The node has stopped, and acknowledges nothing any more: the others need not wait for its lease."""
        self.leadership.lost()
        await self._lease.give_back()
        await self.etcd.close()

    def _pause_seconds(self) -> float:
        leader = None if self.cluster is None else self.cluster.leader
        follows = self._link.is_linked or self._standing.role == "primary"
        is_quiet = leader is not None and leader.begun and follows and self._is_settled
        hurries = self._clock.awake() < self._hurries_until
        return self.options.keepalive_seconds / (1 if is_quiet and not hurries else QUICK)

    def _reached(self, unreachable: str | None) -> None:
        if (unreachable is None) != (self.unreachable is None):
            if unreachable is None:
                log.info("failover.etcd_reached")
            else:
                log.warning("failover.etcd_unreachable", reason=unreachable)
        self.unreachable = unreachable

    # One look, one turn.

    async def look(self) -> None:
        """Looks once, and takes the turn that follows from that."""
        try:
            await self._look()
            self._reached(None)
        except EtcdError as error:
            self._reached(str(error))
        self._looked.set()

    async def _look(self) -> None:
        store = self._store.database
        if store is None:
            return
        keys = Keys(store.database_id)
        if not await self._lease.keep():
            self.leadership.lost()
        kept_at, lease = self._lease.kept_at, self._lease.id

        cluster = self.cluster = await self._tell_and_read(keys, lease)
        self._noticed(cluster)

        before, decision = self.decision, decide(self._as_it_is(lease), cluster, self._pace())
        self.decision = decision
        if decision != before and decision.turn is not Turn.LEAD:
            log.info("failover.turn", turn=decision.turn.value, reason=decision.reason)
        await self._take(decision, cluster, keys, kept_at)

    async def _tell_and_read(self, keys: Keys, lease: int) -> Cluster:
        """Says how this node is, where that is news, and reads all; in one transaction. Where that failed the
        next look only reads."""
        now, before, telling = self._clock.awake(), self.cluster, self._telling
        is_led = before is not None and before.leader is not None
        rule = None if before is None else before.rule
        operations: list[Operation] = []

        member, status = self._member(), None
        only_reads, self._only_reads = self._only_reads, False
        tells = not only_reads and telling.is_member_due(member, lease, now, is_led=is_led)
        if tells:
            operations.append(Put(keys.member(self._me), member_value(member), lease))
        leads = self.leadership.right.leads and not only_reads
        # How far the replicas are is looked up in the files of the log: only when it is to be told.
        if leads and telling.is_status_due(now, decides=rule is None or rule.count == 0):
            status = self.leading.status()
            status = status if status is None or telling.is_news(status) else None
        if status is not None:
            operations.append(Put(keys.status, status_value(status)))

        self._only_reads = bool(operations)
        outcome = await self.etcd.txn([], [*operations, Read(keys.prefix)])
        self._only_reads = False
        if tells:
            telling.told_member(member, lease, now)
        if status is not None:
            telling.told_status(status, now)
        cluster = keys.read(outcome.pairs)
        telling.saw(cluster.members.get(self._me), cluster.status)
        return cluster

    def _noticed(self, cluster: Cluster) -> None:
        if cluster.leader is not None:
            self._absent_since = None
        elif self._absent_since is None:
            self._absent_since = self._clock.awake()
        if cluster.leader is not None and cluster.leader.begun:
            self._last_leader = cluster.leader
            self._candidacy.saw_leader()
        self.failsafe.seen(cluster.failsafe)
        self._announcement.saw(cluster)
        for member in cluster.members.values():
            if member.node != self._me:
                self._peers.remember_proven(bytes.fromhex(member.node), member.replication, member.clients)

    async def _take(self, decision: NextTurn, cluster: Cluster, keys: Keys, kept_at: float) -> None:
        self._is_settled = decision.turn is Turn.FOLLOW
        leader = cluster.leader
        match decision.turn:
            case Turn.LEAD if self.handing_over.is_unsure:
                await self._reclaim(cluster, keys, kept_at)
            case Turn.LEAD:
                self.leadership.took(kept_at)
                self._is_settled = await self.leading.see_to(cluster, keys)
            case Turn.RECLAIM:
                await self._reclaim(cluster, keys, kept_at)
            case Turn.STEP_DOWN:
                self.leadership.lost()
                self._step_down(cluster)
            case Turn.FOLLOW if leader is not None:
                self.leadership.lost()
                self._follow(leader)
            case Turn.CLAIM:
                self._election = self._tasks.spawn(self._stand(cluster, force=False))
            case Turn.GIVE_UP if leader is not None:
                self.leadership.lost()
                await self._candidacy.give_up(HasRevision(keys.leader, leader.revision), keys)
            case _ if self._is_busy:
                # A candidate that fetches what it lacks may take longer than a lease.
                if leader is not None and (leader.node, leader.lease) == (self._me, self._lease.id):
                    self.leadership.kept(kept_at)
            case _:
                self.leadership.lost()

    def _as_it_is(self, lease: int) -> Me:
        absent = 0.0 if self._absent_since is None else self._clock.awake() - self._absent_since
        return Me(
            self._me,
            is_primary=self._standing.role == "primary",
            epoch=self._store.epoch,
            promised=self._memory.promised_epoch,
            lease=lease,
            absent_seconds=absent,
            holds_still=self.promises.holds_still or self._candidacy.rests,
            is_busy=self._is_busy,
        )

    def _pace(self) -> Pace:
        options = self.options
        return Pace(options.keepalive_seconds / 2, float(options.ttl_seconds), options.lag_bytes_max)

    @property
    def _is_busy(self) -> bool:
        return self.handing_over.is_under_way or (self._election is not None and not self._election.done())

    # The turns.

    async def _reclaim(self, cluster: Cluster, keys: Keys, kept_at: float) -> None:
        leader = cluster.leader
        free = IsAbsent(keys.leader) if leader is None else HasRevision(keys.leader, leader.revision)
        epoch = max(cluster.epoch, self._store.epoch)
        outcome = await self.etcd.txn(
            [free, epoch_is(cluster, keys)],
            [
                Put(keys.leader, leader_value(self._own_leader()), self._lease.id),
                Put(keys.epoch, epoch_value(epoch)),
                # Of a switchover that came to nothing: the next failover is not by its order.
                Delete(keys.switchover),
            ],
        )
        if outcome.succeeded:
            log.info("failover.reclaimed", epoch=epoch)
            self.handing_over.is_unsure = False
            self.leadership.took(kept_at)
        self.look_soon()

    def _step_down(self, cluster: Cluster) -> None:
        leader = cluster.leader
        known = 0 if leader is None else leader.epoch
        epoch = max(cluster.newest_epoch, self._memory.promised_epoch, known)
        where = ("", "")
        # To one that has not begun it could only connect in vain.
        if leader is not None and leader.begun and leader.node != self._me:
            where = (leader.replication, leader.clients)
        self._fencing.fence(epoch, where)

    def _follow(self, leader: Leader) -> None:
        address = address_of(leader.replication)
        if address is not None and (address != self._memory.primary or self._link.follower is None):
            log.info("failover.follows", leader=leader.node, epoch=leader.epoch, address=str(address))
            self._following.turn_to(address, leader.clients)

    async def _stand(self, cluster: Cluster, *, force: bool) -> str:
        try:
            return await self._candidacy.stand(cluster, force=force)
        finally:
            self.look_soon()

    def _own_leader(self) -> Leader:
        return Leader(
            self._me,
            self._store.epoch,
            self._addresses.replication,
            self._addresses.clients,
            begun=True,
        )

    def _member(self) -> Member:
        store = self._store.database
        position = None if store is None else store.durable_position
        return Member(
            node=self._me,
            name=self._identity.name,
            replication=self._addresses.replication,
            clients=self._addresses.clients,
            standing=self._standing.current.value,
            epoch=None if position is None else int(position.epoch),
            sequence=None if position is None else int(position.sequence),
            candidate=self.options.candidate,
            priority=self.options.priority,
            delayed=self._data.delay.no_takeover is not None,
            promised=self._memory.promised_epoch,
        )

    def address_of(self, node: str) -> Address | None:
        """Where the node of that id was last known to be."""
        member = None if self.cluster is None else self.cluster.members.get(node)
        if member is not None and (address := address_of(member.replication)) is not None:
            return address
        peer = self._peers.get(bytes.fromhex(node))
        return None if peer is None else address_of(peer.replication)

    # What clients ask.

    def sentinel(self) -> SentinelView:
        """What clients are told that ask this node as a sentinel."""
        options = self.options
        cluster, last = self.cluster, self._last_leader
        vouches_for = self.promises.vouches_for
        if cluster is not None and cluster.leader is None and last is not None and vouches_for is not None:
            # It goes on without etcd, as long as all members follow it.
            cluster = replace(cluster, leader=last if last.node == vouches_for.hex() else None)
        return sentinel_view(self._me, options.service_name, options.ttl_seconds, cluster)

    # What an operator orders.

    async def promote(self, *, force: bool) -> str:
        """Makes this node the leader by the rules of every claim; what was lost, in words. `force`: also when
        another one leads, and without enough promises. Raises RoleRefused."""
        if self._standing.role == "primary":
            raise RoleRefused("this node takes writes already")
        cluster, _ = await self.fresh()
        if self._is_busy:
            raise RoleRefused("this node stands for election already")
        if (reason := self.promises.holds_still) is not None and not force:
            raise RoleRefused(reason)
        if cluster.leader is not None and not force:
            raise RoleRefused(
                f"{cluster.leader.clients} leads: replicad switchover loses nothing; --force takes the "
                "leadership from it"
            )
        if (reason := why_not_known(self._me, cluster)) is not None and not force:
            raise RoleRefused(f"{reason}: start the primary; --force takes the leadership without it")
        try:
            await self._lease.keep()
        except EtcdError as error:
            raise RoleRefused(f"etcd does not answer: {error}") from error
        self._election = self._tasks.spawn(self._stand(cluster, force=force))
        return await asyncio.shield(self._election)

    async def fresh(self) -> tuple[Cluster, Keys]:
        """What etcd says now. Raises RoleRefused when it does not answer."""
        store = self._store.database
        if store is None:
            raise RoleRefused("this node has no data yet")
        keys = Keys(store.database_id)
        try:
            return keys.read(await self.etcd.range(keys.prefix)), keys
        except EtcdError as error:
            raise RoleRefused(f"etcd does not answer: {error}") from error
