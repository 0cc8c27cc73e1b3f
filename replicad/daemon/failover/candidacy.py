"""A candidacy: a replica claims the leadership, and becomes the primary if it can hold all that was ever
acknowledged.

    claim          one transaction: nobody leads, and nobody has claimed an epoch since      etcd
    promise        this node itself acknowledges nothing lower any more                      durable
    ask            every node it knows for the same promise; each says how far it is
    enough?        by the rule that is stated (`failover.quorum`); otherwise it is given up
    catch up       from the node that has most
    begin          the epoch that was claimed, no other                                      durable
    begun          etcd says so; the others follow

A death at any point leaves a claim that ends with its lease, and an epoch number that nobody uses again. A
node whose candidacy came to nothing, as one without room on its disk, rests: others have their turn before it
claims again. Belongs to the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

from replicad.daemon.failover.asking import ask_each
from replicad.daemon.failover.keys import Keys, epoch_is, epoch_value, leader_value
from replicad.daemon.failover.lease import NodeLease
from replicad.daemon.failover.promises import Promises
from replicad.daemon.open_store import OpenStore
from replicad.daemon.own_addresses import OwnAddresses
from replicad.daemon.roles.change_lock import ChangeLock
from replicad.daemon.roles.leadership import Leadership
from replicad.daemon.roles.node_link import NodeLink
from replicad.daemon.roles.promotion import Promotion
from replicad.daemon.roles.role_memory import RoleMemory
from replicad.env import Clock
from replicad.env.events import get_logger
from replicad.env.reasons import reason_of
from replicad.errors import EtcdError, ReplicadError, RoleRefused
from replicad.etcd.calls import Compare, Delete, Etcd, HasRevision, HasValue, IsAbsent, Put
from replicad.net.addresses import Address
from replicad.net.doors import Door
from replicad.replication.options import RoleOptions
from replicad.replication.policy.failover.cluster import Cluster, Leader
from replicad.replication.policy.failover.quorum import HowFar, furthest, why_not_enough
from replicad.replication.policy.roles import Standing
from replicad.replication.wire.identify import Identity
from replicad.replication.wire.messages import Message, Promise, Promised
from replicad.store.database import Database

log = get_logger("replicad.daemon")

LOOK_SECONDS = 0.01
"""Between two looks at how far it is."""
AGAIN_SECONDS = 0.2
"""Between two questions to nodes that have not promised."""
RESTS_MAX = 4
"""A node rests for one, two and then this many times `ttl_seconds`."""


class Candidacy:
    def __init__(
        self,
        identity: Identity,
        clock: Clock,
        options: RoleOptions,
        etcd: Etcd,
        *,
        ttl_seconds: float,
        lease: NodeLease,
        leadership: Leadership,
        promises: Promises,
        store: OpenStore,
        memory: RoleMemory,
        link: NodeLink,
        promotion: Promotion,
        lock: ChangeLock,
        addresses: OwnAddresses,
        door: Door,
        address_of: Callable[[str], Address | None],
        standing: Callable[[], Standing],
    ) -> None:
        self._identity = identity
        self._clock = clock
        self._options = options
        self._etcd = etcd
        self._ttl_seconds = ttl_seconds
        self._lease = lease
        self._leadership = leadership
        self._promises = promises
        self._store = store
        self._memory = memory
        self._link = link
        self._promotion = promotion
        self._lock = lock
        self._addresses = addresses
        self._door = door
        self._address_of = address_of
        self._standing = standing
        self._given_up = 0
        self._rests_until = float("-inf")

    @property
    def rests(self) -> str | None:
        """Why this node lets others claim the leadership first, or None."""
        if self._clock.awake() >= self._rests_until:
            return None
        return "its candidacy came to nothing: it lets others come first for a while"

    def saw_leader(self) -> None:
        """Somebody has begun an epoch."""
        self._given_up, self._rests_until = 0, float("-inf")

    async def stand(self, cluster: Cluster, *, force: bool = False) -> str:
        """Becomes the primary; what is lost by that, in words, or "". `force`: also when another node leads,
        and without enough promises. Raises RoleRefused: then somebody else has to lead."""
        store = self._store.database
        if store is None:
            raise RoleRefused("this node has no data of its own to serve")
        self._promises.is_claiming = True
        try:
            return await self._stand(store, cluster, force=force)
        finally:
            self._promises.is_claiming = False

    async def _stand(self, store: Database, cluster: Cluster, *, force: bool) -> str:
        keys, began = Keys(store.database_id), self._clock.monotonic()
        leader = await self._claim(keys, cluster, force=force)
        try:
            # A node that said FOLLOWS shortly before keeps to it, whatever it has claimed since.
            if not force:
                self._promises.check_held()
            await self._promises.record(leader.epoch, self._identity.node)
            saved = await self._lock.run(partial(self._end_link, force=force))
            promised = await self._gather(store, cluster, leader.epoch, force=force)
            await self._lock.run(partial(self._begin, leader.epoch, promised, force=force))
        except (ReplicadError, OSError) as error:
            log.warning("failover.given_up", epoch=leader.epoch, reason=reason_of(error))
            self._given_up += 1
            times = min(2 ** (self._given_up - 1), RESTS_MAX)
            self._rests_until = self._clock.awake() + times * self._ttl_seconds
            self._leadership.lost()
            await self.give_up(HasValue(keys.leader, leader_value(leader)), keys)
            raise RoleRefused(f"epoch {leader.epoch} was given up: {reason_of(error)}") from error
        log.warning("failover.leads", epoch=leader.epoch, seconds=round(self._clock.monotonic() - began, 3))
        lost = _what_is_lost(self._store.database, cluster)
        return f"lost: {saved}" if saved and not lost else f"{lost}; {saved}" if saved else lost

    async def _claim(self, keys: Keys, cluster: Cluster, *, force: bool) -> Leader:
        # Above what this node has heard of, too: etcd may be another one than before.
        newest = max(cluster.newest_epoch, self._store.epoch, self._memory.least_epoch - 1)
        leader = Leader(
            self._identity.node.hex(),
            newest + 1,
            self._addresses.replication,
            self._addresses.clients,
            begun=False,
        )
        free: Compare = IsAbsent(keys.leader)
        if cluster.leader is not None and force:
            free = HasRevision(keys.leader, cluster.leader.revision)
        try:
            outcome = await self._etcd.txn(
                [free, epoch_is(cluster, keys)],
                [
                    Put(keys.leader, leader_value(leader), self._lease.id),
                    Put(keys.epoch, epoch_value(leader.epoch)),
                ],
            )
        except EtcdError as error:
            # It may have claimed it. The next look at etcd tells; until then it has not.
            raise RoleRefused(f"whether epoch {leader.epoch} was claimed is unknown: {error}") from error
        if not outcome.succeeded:
            raise RoleRefused("another node claimed the leadership first")
        log.warning("failover.claimed", epoch=leader.epoch)
        self._leadership.took(self._lease.kept_at)
        return leader

    async def _gather(
        self, store: Database, cluster: Cluster, epoch: int, *, force: bool
    ) -> dict[str, HowFar]:
        """Who has promised the epoch, and how far each is. Raises RoleRefused if these are not enough."""
        me = self._identity.node.hex()
        promised = {me: HowFar.of(store.durable_position)}
        question = Promise(self._identity.node, store.database_id, epoch)
        deadline = self._clock.monotonic() + self._options.switchover_seconds
        refusals: dict[str, str] = {}

        def is_enough(answers: Mapping[str, Message | str]) -> bool:
            # Where writes wait for nobody, any node may have more than the others.
            if cluster.rule is None or not cluster.rule.count or force:
                return False
            return why_not_enough(cluster.rule, promised | _promised_in(answers, epoch)) is None

        while True:
            where = self._where(cluster, promised)
            answers = await ask_each(
                where, question, seconds=self._options.ask_seconds, door=self._door, is_enough=is_enough
            )
            promised |= _promised_in(answers, epoch)
            for node, answer in answers.items():
                refusals[node] = answer if isinstance(answer, str) else "it answers for another node"
            lacking = why_not_enough(cluster.rule, promised)
            if lacking is None or force:
                return promised
            if self._clock.monotonic() > deadline or not self._lease.id:
                why = [refusals[node] for node in sorted(refusals) if node not in promised]
                raise RoleRefused("; ".join([lacking, *why]))
            await asyncio.sleep(AGAIN_SECONDS)

    def _where(self, cluster: Cluster, promised: Mapping[str, HowFar]) -> dict[str, Address]:
        rule = cluster.rule
        nodes = set(cluster.members) | (cluster.failsafe or set())
        if rule is not None:
            nodes |= rule.replicas | {rule.leader}
        found = {node: self._address_of(node) for node in nodes - promised.keys()}
        return {node: address for node, address in found.items() if address is not None}

    async def _end_link(self, *, force: bool) -> str:
        """What is here is all that this node ever acknowledges. What of that is given up, in words."""
        await self._link.stop()
        return await self._promotion.finish_waiting(force=force)

    async def _begin(self, epoch: int, promised: Mapping[str, HowFar], *, force: bool) -> str:
        nearest = furthest(self._identity.node.hex(), promised)
        if nearest != self._identity.node.hex():
            try:
                await self._catch_up(nearest, promised[nearest])
            except RoleRefused:
                if not force:
                    raise

        # Whatever was promised or came meanwhile: this epoch, or none.
        store = self._store.database
        if store is None:
            raise RoleRefused("the data of this node is being exchanged")
        if self._standing() not in (Standing.FOLLOWING, Standing.FENCED):
            raise RoleRefused(f"this node is {self._standing().value} by now")
        if self._memory.promised_epoch != epoch or store.position.epoch >= epoch:
            raise RoleRefused(f"epoch {max(self._memory.promised_epoch, store.position.epoch)} came first")
        if self._leadership.right.until <= self._clock.awake():
            raise RoleRefused("the lease may have ended")
        await self._promotion.begin_epoch(epoch)
        return ""

    async def _catch_up(self, node: str, wanted: HowFar) -> None:
        """Streams what this node lacks from a node that has promised, and so changes no more."""
        address = self._address_of(node)
        if address is None:
            raise RoleRefused(f"{node[:8]} is further, and nobody knows where it is")
        log.warning("failover.catches_up", source=str(address), epoch=wanted.epoch, sequence=wanted.sequence)
        before = self._memory.primary
        self._memory.primary = address
        self._link.start(catch_up=True)
        try:
            async with asyncio.timeout(self._options.switchover_seconds):
                # A rewind opens the store anew, so there is none to be told by.
                while not self._is_at(wanted):  # noqa: ASYNC110
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            raise RoleRefused(f"{address} is further, and did not give what is missing in time") from None
        finally:
            await self._link.stop()
            self._memory.primary = before

    def _is_at(self, wanted: HowFar) -> bool:
        store = self._store.database
        if store is None:
            return False
        if store.failed is not None:
            raise RoleRefused("the store failed")
        return HowFar.of(store.durable_position) >= wanted

    async def give_up(self, claim: Compare, keys: Keys) -> None:
        """Frees the leadership, if it is still that claim that holds it; its lease would do so later."""
        try:
            await self._etcd.txn([claim], [Delete(keys.leader)])
        except EtcdError as error:
            log.warning("failover.claim_stays", reason=str(error))


def _promised_in(answers: Mapping[str, Message | str], epoch: int) -> dict[str, HowFar]:
    """Who has promised that epoch, each for itself, and how far it is."""
    return {
        node: HowFar.of(answer.position)
        for node, answer in answers.items()
        if isinstance(answer, Promised) and (answer.node.hex(), answer.epoch) == (node, epoch)
    }


def _what_is_lost(store: Database | None, cluster: Cluster) -> str:
    """What the leader before had that this one never got, as far as it is known: only where writes wait for
    nobody."""
    status = cluster.status
    if status is None or store is None:
        return ""
    fork = store.epochs[-1].fork
    if (fork.epoch, fork.sequence) >= (status.epoch, status.sequence):
        return ""
    if fork.epoch < status.epoch:
        lost = f"what was written in epoch {status.epoch}"
    else:
        lost = f"at least sequence numbers {fork.sequence + 1} to {status.sequence}"
    log.error("role.promoted_with_loss", lost=lost)
    return f"lost: {lost}"
