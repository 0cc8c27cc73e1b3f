"""What a leader sees to after each look at etcd: that it says the truth about this leadership.

    leader     it has begun
    rule       which replicas acknowledgements wait for (`failover.rules`): only what is stated is counted
    failsafe   everybody who may be promoted: those that follow now, and those that ever did
    status     how far each replica is

Each change is one transaction that holds only while this node is still that leader. A node that was a
member stays one, whatever becomes of its lease, until an operator removes it. So an etcd that lost its data
is told again what it said of this leadership, the rule also after a restart. Belongs to the event loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from replicad.daemon.failover.failsafe import FailsafeWatch
from replicad.daemon.failover.keys import (
    Keys,
    failsafe_value,
    leader_value,
    rule_value,
)
from replicad.daemon.failover.said_rule import SaidRule
from replicad.daemon.open_store import OpenStore
from replicad.daemon.records import NodeRecords
from replicad.daemon.roles.leadership import Leadership
from replicad.env.events import get_logger
from replicad.errors import RoleRefused
from replicad.etcd.calls import Compare, Delete, Etcd, HasRevision, IsAbsent, Put
from replicad.replication.policy.failover.cluster import Cluster, Leader, StatedRule, Status
from replicad.replication.policy.failover.rules import Step, covers, is_newest, is_of, next_step
from replicad.replication.policy.slot_states import log_bytes_after
from replicad.replication.primary.node import PrimaryNode
from replicad.replication.wire.identify import Identity
from replicad.store.database import Database

log = get_logger("replicad.daemon")


class Leading:
    def __init__(
        self,
        identity: Identity,
        etcd: Etcd,
        *,
        durability: str,
        records: NodeRecords,
        leadership: Leadership,
        failsafe: FailsafeWatch,
        store: OpenStore,
        own_leader: Callable[[], Leader],
        lease: Callable[[], int],
    ) -> None:
        """`own_leader` is what etcd is to say of this node, once it has begun."""
        self._me = identity.node.hex()
        self._etcd = etcd
        self._has_all = durability == "sync"
        self._leadership = leadership
        self._failsafe = failsafe
        self._store = store
        self._own_leader = own_leader
        self._lease = lease
        self._goal: StatedRule | None = None
        self._is_unsure = False
        """Whether the rule was written last is unknown."""
        self._mark = 0
        """What has to be held before `_goal` is stated: all that was written when it was set."""
        self._said_rule = SaidRule(self._me, records)
        self._said_members: tuple[int, frozenset[str]] = 0, frozenset()
        """Whom etcd had as members, and in which epoch of this leader: for an etcd that lost them."""
        self._missing: frozenset[str] = frozenset()
        """As the log says already."""
        self._removed: set[str] = set()
        """By an operator, and not back since."""

    async def see_to(self, cluster: Cluster, keys: Keys) -> bool:
        """Brings etcd one step further; whether all is as it should be. Raises EtcdError."""
        store, feed, leader = self._store.database, self._store.feed, cluster.leader
        if store is None or feed is None or leader is None:
            return False
        mine = HasRevision(keys.leader, leader.revision)
        wanted_leader = self._own_leader()
        if (leader.begun, leader.replication, leader.clients) != (
            True,
            wanted_leader.replication,
            wanted_leader.clients,
        ):
            put = Put(keys.leader, leader_value(wanted_leader), self._lease())
            await self._etcd.txn([mine], [put, Delete(keys.switchover)])
            return False
        are_members = await self._state_members(cluster, keys, mine, feed)
        is_stated = await self._state_rule(cluster, keys, mine, store, feed)
        return are_members and is_stated

    # The rule.

    async def _state_rule(
        self, cluster: Cluster, keys: Keys, mine: Compare, store: Database, feed: PrimaryNode
    ) -> bool:
        wanted, stated = self._wanted(cluster, store, feed), cluster.rule
        if self._is_unsure and stated is not None:
            # A statement that was given up may still arrive. Written again, the rule has another revision,
            # and that statement fails. What is counted until then fits both.
            await self._state(stated, cluster, keys, mine)
            return False
        if stated is not None and is_of(stated, wanted):
            if not await self._said_rule.keep(stated, store.database_id):
                return False
        elif (said := self._said_rule.of(store.database_id)) is not None and is_of(said, wanted):
            # A leader that was replaced, and does not know it, would state a rule of former times.
            if is_newest(said, cluster.members):
                await self._state_again(replace(said, text=wanted.text), cluster, keys, mine)
                return False
            # Nor may it wait for others instead: what its successor acknowledged would be given up. Of nodes
            # that are gone for good an operator says so.
            left = replace(said, replicas=said.replicas & (cluster.failsafe or frozenset()))
            if cluster.failsafe is None or not is_newest(left, cluster.members):
                self._leadership.stated(False)
                self._misses(left.replicas - cluster.members.keys())
                return False
        step = next_step(stated, wanted)
        feed.waits.count_by(step.count, step.replicas)
        if not step.when_held:
            # What is acknowledged from here on is held as the goal before says by chance only.
            self._goal = None
        if step.state is not None and self._is_due(step, store, feed):
            if not await self._state(step.state, cluster, keys, mine):
                return False
            if not await self._said_rule.keep(step.state, store.database_id):
                return False
            self._goal = None
            log.info(
                "failover.rule",
                count=step.state.count,
                replicas=sorted(step.state.replicas),
                text=wanted.text,
            )
            stated = step.state
            step = next_step(stated, wanted)
            feed.waits.count_by(step.count, step.replicas)
        self._leadership.stated(covers(stated, wanted))
        return step.state is None

    def _misses(self, nodes: frozenset[str]) -> None:
        """These would have to say that nobody else has led since."""
        if nodes != self._missing:
            self._missing = nodes
            log.warning("failover.rule_unknown", missing=sorted(nodes))

    async def _state(self, rule: StatedRule, cluster: Cluster, keys: Keys, mine: Compare) -> bool:
        """Whether it was written; raises EtcdError where that is unknown."""
        as_read = HasRevision(keys.rule, cluster.rule_revision) if cluster.rule else IsAbsent(keys.rule)
        self._is_unsure = True
        outcome = await self._etcd.txn([mine, as_read], [Put(keys.rule, rule_value(rule))])
        self._is_unsure = False
        return outcome.succeeded

    async def _state_again(self, said: StatedRule, cluster: Cluster, keys: Keys, mine: Compare) -> None:
        """To an etcd that lost its data. What this leadership has acknowledged is as durable as before.
        Replicas that promised a later epoch do not follow: to wait until they hold all would have no end."""
        self._leadership.stated(False)
        if await self._state(said, cluster, keys, mine):
            log.warning(
                "failover.rule_again", count=said.count, replicas=sorted(said.replicas), text=said.text
            )

    def _is_due(self, step: Step, store: Database, feed: PrimaryNode) -> bool:
        """Whether what was acknowledged before is as durable as what is to be stated says."""
        if not step.when_held:
            return True
        # What is acknowledged from now on is held by that many; the rest was written before.
        if step.state != self._goal:
            self._goal, self._mark = step.state, store.appended_sequence
        are_there = len(step.replicas) >= step.count
        is_held = are_there and feed.waits.held_by(step.count, step.replicas) >= self._mark
        return is_held and (not self._has_all or store.durable_sequence >= self._mark)

    def _wanted(self, cluster: Cluster, store: Database, feed: PrimaryNode) -> StatedRule:
        """What the configuration asks for, of the nodes that are there: who counted under this leader counts
        on."""
        rule, epoch = feed.waits.configured, int(store.durable_position.epoch)
        count, text = (0, "") if rule is None else (rule.count, str(rule))
        wanted = StatedRule(self._me, epoch, count, frozenset(), self._has_all, text)
        known = {node for node in self._connected(feed) if self._may_count(node, cluster)}
        if is_of(cluster.rule, wanted) and cluster.rule is not None:
            known |= cluster.rule.replicas & (cluster.failsafe or frozenset())
        if rule is not None and rule.names:
            known = {node for node in known if self._is_named(node, rule.names, cluster, feed)}
        # What it receives and does not apply no candidate could fetch, so it would promise nothing.
        prompt = {node for node in known if not self._is_delayed(node, cluster)}
        known = prompt if len(prompt) >= count else known
        return replace(wanted, replicas=frozenset(known))

    def _connected(self, feed: PrimaryNode) -> set[str]:
        return {id.hex() for id, session in feed.sessions.items() if session.sender is not None}

    def _may_count(self, node: str, cluster: Cluster) -> bool:
        """Whether it is a member, so that it can promise, and applies at once, so that others can have what
        it acknowledged."""
        is_member = node in cluster.members and node in (cluster.failsafe or ())
        return is_member and not self._is_delayed(node, cluster)

    def _is_delayed(self, node: str, cluster: Cluster) -> bool:
        member = cluster.members.get(node)
        return member is not None and member.delayed

    def _is_named(self, node: str, names: tuple[str, ...], cluster: Cluster, feed: PrimaryNode) -> bool:
        called = {node}
        if (member := cluster.members.get(node)) is not None:
            called.add(member.name)
        if (slot := feed.slots.get(bytes.fromhex(node))) is not None:
            called.add(slot.name)
        return bool(called & set(names))

    # The members.

    async def _state_members(self, cluster: Cluster, keys: Keys, mine: Compare, feed: PrimaryNode) -> bool:
        epoch, said = self._said_members
        if epoch != self._store.epoch:
            epoch, said = self._said_members = self._store.epoch, self._former_members(cluster)
        joined = self._connected(feed) & cluster.members.keys()
        self._removed -= joined
        before = said - self._removed | (cluster.failsafe or frozenset())
        wanted = before | {self._me} | joined
        if wanted == cluster.failsafe:
            self._said_members = epoch, wanted
            return True
        self._failsafe.attempted(before | wanted)
        outcome = await self._etcd.txn([mine], [Put(keys.failsafe, failsafe_value(wanted))])
        if outcome.succeeded:
            self._said_members = epoch, wanted
            log.info("failover.members", members=sorted(wanted))
        return False

    def _former_members(self, cluster: Cluster) -> frozenset[str]:
        """Those of etcd. To one that lost them a leader that was started again tells whom it waited for."""
        store = self._store.database
        if cluster.failsafe is not None or store is None:
            return cluster.failsafe or frozenset()
        said = self._said_rule.of(store.database_id)
        return frozenset() if said is None or said.epoch != self._store.epoch else said.replicas

    async def remove(self, node: str, cluster: Cluster, keys: Keys) -> None:
        """Counts and asks a node no more. Raises RoleRefused, EtcdError."""
        feed, leader = self._store.feed, cluster.leader
        if feed is None or leader is None or leader.node != self._me:
            raise RoleRefused("this node does not lead")
        if node == self._me:
            raise RoleRefused("this node leads: replicad switchover first")
        if bytes.fromhex(node) in feed.sessions or node in cluster.members:
            raise RoleRefused(f"{node[:8]} runs: end it first, or it would be a member again at once")
        before = cluster.failsafe or frozenset()
        if node not in before:
            raise RoleRefused(f"{node[:8]} is not a member")

        # Now: the answer to a list with the node in it may be on its way.
        self._removed.add(node)

        # The leader's key is written again: a list that was given up, and may still arrive, has the node in
        # it, and fails then.
        attempt = self._failsafe.attempted(before)
        again = Put(keys.leader, leader_value(leader), leader.lease)
        outcome = await self._etcd.txn(
            [HasRevision(keys.leader, leader.revision)],
            [Put(keys.failsafe, failsafe_value(before - {node})), again],
        )
        if not outcome.succeeded:
            raise RoleRefused("this node leads no more, or has just said so anew: nothing has changed")
        self._failsafe.removed(node, attempt)
        log.info("failover.members", members=sorted(before - {node}))

        # The rule follows by itself: who is not in failsafe counts no more, once enough others hold all.
        feed.drop_slot(bytes.fromhex(node))
        feed.tell_nodes((bytes.fromhex(node),))

    def status(self) -> Status | None:
        """How far each replica is, as far as it is known here."""
        store, feed = self._store.database, self._store.feed
        if store is None or feed is None:
            return None
        newest, files = store.durable_position, store.get_sorted_wal_files()
        lags = {
            id.hex(): log_bytes_after(files, session.sender.ack.durable, newest.sequence)
            for id, session in feed.sessions.items()
            if session.sender is not None
        }
        for slot in feed.slots.all():
            if not slot.is_feed:
                lags.setdefault(slot.node_id.hex(), log_bytes_after(files, slot.sequence, newest.sequence))
        return Status(int(newest.epoch), int(newest.sequence), lags)
