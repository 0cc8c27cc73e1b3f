"""What a leader may do, look by look, and what etcd says of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from replicad.daemon.failover.keys import Keys, failsafe_value
from replicad.daemon.failover.said_rule import REPLICAS_MAX, SaidRule
from replicad.errors import DiskFullError, EtcdError
from replicad.etcd.calls import Delete, Put, TxnOutcome
from replicad.replication.policy.failover.turn import Turn
from replicad.replication.policy.roles import Standing
from replicad.replication.policy.synchronous import Level, parse_rule
from replicad.state import RuleRecord
from tests.support.nodes.cluster import (
    TTL_SECONDS,
    Member,
    cluster,
    leader_of,
    serves,
)
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(60)


async def test_the_primary_leads_and_the_others_count(tmp_path: Path) -> None:
    """It takes no write before etcd says so; every replica becomes a member, and one that counts."""
    async with cluster(tmp_path) as nodes:
        one = nodes.members[0]
        assert one.node.standing.current is Standing.DOUBTING
        assert one.node.served.holds_writes() and one.node.served.holds_answers()
        assert await nodes.settle() is one
        await serves(nodes, one)
        assert not one.node.served.holds_writes() and not one.node.served.holds_answers()


async def test_nothing_is_acknowledged_before_the_rule_is_stated(tmp_path: Path) -> None:
    """A leader without a replica that counts has nobody who could prove what it acknowledged."""
    async with cluster(tmp_path, "one") as nodes:
        (one,) = nodes.members
        for _ in range(5):
            await nodes.look()
        assert one.agent.leadership.right.leads and not one.leads
        assert one.cluster.rule is None


async def test_the_right_ends_before_the_lease_can(tmp_path: Path) -> None:
    """Without a look it lasts for the time of the lease, less the margin; then nothing is acknowledged until
    etcd says again that this node leads."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        await serves(nodes, one)
        nodes.pass_time(3.9)
        assert not one.node.served.holds_answers()
        nodes.pass_time(0.2)
        assert one.node.served.holds_answers()
        assert one.node.standing.current is Standing.DOUBTING
        await nodes.look()
        await serves(nodes, one)
        assert not one.node.served.holds_answers()


async def test_an_error_of_etcd_changes_nothing(tmp_path: Path) -> None:
    """Whether its answer is lost or it does not answer: the leader leads on while its right lasts."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        for way in ("is_cut", "loses_answers"):
            setattr(one.etcd, way, True)
            for _ in range(3):
                await nodes.look()
            assert one.leads and one.agent.unreachable
            setattr(one.etcd, way, False)
            await nodes.look()


async def test_a_leader_goes_on_while_etcd_has_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be written then; the lease is kept, and what etcd says of the leader can be read. No other
    node is asked, so one may be gone."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        await serves(nodes, one)
        store = one.node.store
        assert store is not None
        await nodes.end(nodes.members[2])
        txn = one.etcd.txn

        async def full(compares: Any, then: Any, otherwise: Any = ()) -> TxnOutcome:
            if any(isinstance(each, Put) for each in then):
                raise EtcdError("database space exceeded")
            return await txn(compares, then, otherwise)

        monkeypatch.setattr(one.etcd, "txn", full)
        reasons = set()
        for number in range(4 * TTL_SECONDS):
            store.put(b"k%d" % number, b"v")
            await until(lambda: store.durable_sequence == store.appended_sequence)
            nodes.pass_time(1.0)
            await one.look()
            reasons.add(one.agent.unreachable)
            assert one.leads
        assert reasons == {None, "database space exceeded"}


async def test_a_leader_that_is_started_again_keeps_its_epoch(tmp_path: Path) -> None:
    """etcd still names it, with a lease that nobody keeps; or nobody leads, and nobody claimed an epoch."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        keys = Keys(one.node.open_store.database_id or b"")
        for _ in range(2):
            one.agent._lease._lease = None  # as a new process begins
            one.agent.leadership.lost()
            await nodes.until(lambda: one.leads)
            assert one.node.open_store.epoch == 1 and one.cluster.epoch == 1
            nodes.keys.txn([], [Delete(keys.leader)], [])


async def test_a_lease_that_has_ended_ends_the_leadership_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if the right would last longer, and etcd says no more than that."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        nodes.keys.revoke(one.agent._lease.id)
        nodes.pass_time(1.0)

        async def fails(*arguments: object) -> TxnOutcome:
            raise EtcdError("no answer")

        with monkeypatch.context() as patched:
            patched.setattr(one.etcd, "txn", fails)
            await one.look()
        assert one.agent.unreachable and not one.leads
        await one.look()
        assert one.agent.decision.turn is Turn.RECLAIM


async def test_nothing_is_put_for_good_between_two_leases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim may be on its way while the lease has ended, and the next one is not there yet."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        ended = one.agent._lease.id
        nodes.keys.revoke(ended)
        nodes.pass_time(1.0)

        async def fails(*arguments: object) -> None:
            raise EtcdError("no answer")

        with monkeypatch.context() as patched:
            patched.setattr(one.etcd, "grant", fails)
            await one.look()
        assert one.agent._lease.id == ended
        await one.look()
        assert one.agent._lease.id not in (0, ended)


async def test_an_etcd_without_data_hears_of_the_primary_first(tmp_path: Path) -> None:
    """It lost who would have to promise. No replica claims the leadership meanwhile."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        nodes.keys.pairs.clear()
        nodes.pass_time(TTL_SECONDS + 1)
        for _ in range(5):
            await nodes.look(one)
            nodes.pass_time(TTL_SECONDS + 1)
        assert {member.agent.decision.turn for member in nodes.members[1:]} == {Turn.WAIT}
        await nodes.until(lambda: one.leads)
        assert one.node.open_store.epoch == 1


async def test_a_rule_is_stated_once_replicas_hold_what_was_acknowledged_before(tmp_path: Path) -> None:
    """Until then etcd says the weaker one, and writes wait for the stronger."""
    async with cluster(tmp_path, synchronous="any 1") as nodes:
        one = await nodes.settle()
        await serves(nodes, one)
        _, two, three = nodes.members
        feed, store = one.node.open_store.feed, one.node.store
        assert feed is not None and store is not None
        await three.node.link.stop()
        store.put(b"k", b"v")
        await until(lambda: two.node.store is not None and two.node.store.get(b"k") == b"v")
        three.node.link.start()
        slow = feed.waits._replicas
        feed.waits._replicas = lambda: [each for each in slow() if each[1] != three.id]
        feed.waits.reconfigure(parse_rule("any 2"), Level.DURABLE, 10.0)
        for _ in range(3):
            await nodes.look()
        assert one.cluster.rule is not None and one.cluster.rule.count == 1
        assert feed.waits.rule is not None and feed.waits.rule.count == 2
        feed.waits._replicas = slow
        await nodes.until(lambda: one.cluster.rule is not None and one.cluster.rule.count == 2)


async def test_a_weaker_rule_is_stated_before_it_is_counted(tmp_path: Path) -> None:
    """What etcd says is asked of candidates: it must not be more than what writes wait for."""
    async with cluster(tmp_path, synchronous="any 2") as nodes:
        one = await nodes.settle()
        await serves(nodes, one)
        feed = one.node.open_store.feed
        assert feed is not None
        feed.waits.reconfigure(parse_rule("any 1"), Level.DURABLE, 10.0)
        assert feed.waits.rule is not None and feed.waits.rule.count == 2
        one.etcd.is_cut = True
        await nodes.look()
        assert feed.waits.rule.count == 2
        one.etcd.is_cut = False
        await nodes.until(lambda: one.cluster.rule is not None and one.cluster.rule.count == 1)
        await nodes.look()
        assert feed.waits.rule is not None and feed.waits.rule.count == 1


async def test_a_rule_asked_for_again_waits_anew(tmp_path: Path) -> None:
    """An operator wants more, less, and more again: what one replica acknowledged between is not
    on the other one yet."""
    async with cluster(tmp_path, synchronous="any 1") as nodes:
        one = await nodes.settle()
        await serves(nodes, one)
        _, two, three = nodes.members
        feed, store = one.node.open_store.feed, one.node.store
        assert feed is not None and store is not None
        waits = feed.waits

        async def asks_for(count: int) -> None:
            waits.reconfigure(parse_rule(f"any {count}"), Level.DURABLE, 10.0)
            await nodes.until(lambda: one.cluster.rule is not None and one.cluster.rule.count == count)

        await asks_for(2)
        await asks_for(1)
        replicas = waits._replicas
        behind = [each for each in replicas() if each[1] == three.id]
        waits._replicas = lambda: [each for each in replicas() if each[1] != three.id] + behind
        store.put(b"k", b"v")
        await until(lambda: two.node.store is not None and two.node.store.get(b"k") == b"v")
        waits.reconfigure(parse_rule("any 2"), Level.DURABLE, 10.0)
        for _ in range(3):
            await nodes.look()
        assert one.cluster.rule is not None and one.cluster.rule.count == 1
        waits._replicas = replicas
        await asks_for(2)


async def test_a_statement_that_may_still_arrive_is_made_void(tmp_path: Path) -> None:
    """Its answer was lost, or itself: the rule is written again first, so that the late one fails."""
    async with cluster(tmp_path, synchronous="any 1") as nodes:
        one = await nodes.settle()
        await serves(nodes, one)
        feed = one.node.open_store.feed
        assert feed is not None
        before = one.cluster.rule_revision
        feed.waits.reconfigure(parse_rule("any 2"), Level.DURABLE, 10.0)
        one.agent.leading._is_unsure = True
        await one.look()
        now, _ = await one.agent.fresh()
        assert now.rule is not None and now.rule.count == 1 and now.rule_revision > before
        assert not one.agent.leading._is_unsure
        await nodes.until(lambda: one.cluster.rule is not None and one.cluster.rule.count == 2)


@pytest.mark.parametrize(("count", "is_restarted"), [(1, False), (2, False), (2, True)])
async def test_a_leader_moves_above_what_members_have_promised(
    tmp_path: Path, count: int, *, is_restarted: bool
) -> None:
    """A candidate claimed an epoch, and then etcd lost its data: the members that promised it follow no
    leader of a lower one. If all of them did, nobody holds anything for it any more; and a leader that was
    started meanwhile has only what it had written down."""
    async with cluster(tmp_path, synchronous="any 1") as nodes:
        one = await nodes.settle()
        await serves(nodes, one)
        three = nodes.members[2]
        for member in nodes.members[-count:]:
            await member.agent.promises.record(7, three.node.identity.node)
            await member.node.link.stop()
        nodes.keys.pairs.clear()
        if is_restarted:
            leading = one.agent.leading
            leading._said_rule = SaidRule(one.id, one.node.records)
            leading._said_members = 0, frozenset()

        def newest_leader() -> Member | None:
            nodes.pass_time(0.1)
            found = leader_of(nodes)
            return found if found is not None and found.node.open_store.epoch > 7 else None

        await nodes.until(newest_leader)
        leader = leader_of(nodes)
        await nodes.until(lambda: all(m is leader or m.node.link.is_linked for m in nodes.members))


async def test_an_etcd_that_lost_its_data_is_told_again_what_it_said(tmp_path: Path) -> None:
    """Also of a member that is gone; but not of one that was removed. The leader alone is no proof any more:
    an epoch that etcd forgot may have begun."""
    async with cluster(tmp_path, synchronous="any 1") as nodes:
        one, _, three = nodes.members
        await nodes.settle()
        await serves(nodes, one)
        rule, members = one.cluster.rule, one.cluster.failsafe
        assert rule is not None and rule.leader_has_all and members is not None and len(members) == 3
        feed, store = one.node.open_store.feed, one.node.store
        assert feed is not None and store is not None
        store.put(b"k", b"v")
        replicas, feed.waits._replicas = feed.waits._replicas, lambda: []
        await nodes.end(three)
        nodes.keys.pairs.clear()
        for _ in range(4):
            await nodes.look(three)
        assert one.cluster.failsafe == members
        assert one.cluster.rule == replace(rule, leader_has_all=False)
        assert one.leads
        feed.waits._replicas = replicas
        await nodes.until(lambda: one.cluster.rule == rule)

        nodes.pass_time(TTL_SECONDS + 1)
        await nodes.until(lambda: three.id not in one.cluster.members and one.leads)
        orders = one.node.served.failover
        assert orders is not None
        await orders.remove(three.id)
        nodes.keys.pairs.clear()
        await nodes.look(three)
        await nodes.until(lambda: one.cluster.failsafe is not None and one.leads)
        assert one.cluster.failsafe == members - {three.id}


async def test_a_rule_counts_once_it_is_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a leader that is started again could state an older one to an etcd that lost its data."""
    async with cluster(tmp_path, synchronous="any 1") as nodes:
        one, records = nodes.members[0], nodes.members[0].node.records
        database = one.node.open_store.database_id or b""

        async def fails(rule: RuleRecord | None) -> None:
            raise DiskFullError("no room")

        with monkeypatch.context() as patched:
            patched.setattr(records, "put_rule", fails)
            nodes.pass_time(TTL_SECONDS + 1)
            await nodes.until(lambda: one.agent.cluster is not None and one.cluster.rule is not None)
            for _ in range(4):
                await nodes.look()
            assert one.agent.leadership.right.leads and not one.leads
        await nodes.until(lambda: one.leads)
        rule, written = one.cluster.rule, SaidRule(one.id, records).of(database)
        assert rule is not None and written == replace(rule, leader_has_all=False, text="")

        # Of more nodes than a record can have, none is kept.
        many = frozenset(f"{number:032x}" for number in range(REPLICAS_MAX + 1))
        assert await one.agent.leading._said_rule.keep(replace(rule, replicas=many), database)
        assert SaidRule(one.id, records).of(database) is None
        await one.agent.leading._said_rule.keep(replace(rule, replicas=frozenset(sorted(many)[1:])), database)
        written = SaidRule(one.id, records).of(database)
        assert written is not None and len(written.replicas) == REPLICAS_MAX
        assert SaidRule(one.id, records).of(b"D" * 16) is None


async def test_a_leader_that_may_have_been_replaced_states_no_rule_of_former_times(tmp_path: Path) -> None:
    """Of two replicas that both had to hold a write, one promise was enough. The one that is gone may have
    led since, and waited for nodes that etcd forgot as well."""
    async with cluster(tmp_path, synchronous="any 2") as nodes:
        one, two, three = nodes.members
        await nodes.settle()
        await serves(nodes, one)
        await nodes.end(two)
        nodes.keys.pairs.clear()
        for _ in range(6):
            await nodes.look()
        assert one.cluster.failsafe is not None and three.id in one.cluster.members
        assert one.cluster.rule is None and not one.leads


async def test_a_leader_that_may_have_been_replaced_waits_for_no_strangers(tmp_path: Path) -> None:
    """What a successor acknowledged would be given up for what a new replica holds. That those who know of
    it are gone for good is an operator's to say."""
    async with cluster(tmp_path, "one", "two", "three", "four") as nodes:
        one, *known, four = nodes.members
        everybody = frozenset(member.id for member in nodes.members)
        await nodes.settle()
        leading, rule = one.agent.leading, one.cluster.rule
        assert rule is not None
        former = replace(rule, replicas=rule.replicas - {four.id})
        assert await leading._said_rule.keep(former, one.node.open_store.database_id or b"")
        for member in known:
            await nodes.end(member)
        nodes.keys.pairs.clear()
        leading._said_rule = SaidRule(one.id, one.node.records)
        leading._said_members = 0, frozenset()
        for _ in range(6):
            await nodes.look(*known)
        assert four.id in one.cluster.members and one.cluster.rule is None and not one.leads
        assert one.cluster.failsafe == everybody

        orders = one.node.served.failover
        assert orders is not None
        for member in known:
            assert not one.leads
            await orders.remove(member.id)
            await nodes.look(*known)
        await nodes.until(lambda: one.leads and one.cluster.rule is not None, *known)
        assert one.cluster.rule is not None and one.cluster.rule.replicas == {four.id}


async def test_a_member_whose_statement_was_not_answered_is_stated_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next look found it in etcd."""
    async with cluster(tmp_path) as nodes:
        one, _, three = nodes.members
        txn, keys = one.etcd.txn, Keys(one.node.open_store.database_id or b"")

        async def loses(compares: Any, then: Any, otherwise: Any = ()) -> TxnOutcome:
            outcome = await txn(compares, then, otherwise)
            if any(isinstance(each, Put) and each.key == keys.failsafe for each in then):
                raise EtcdError("the answer is lost")
            return outcome

        with monkeypatch.context() as patched:
            patched.setattr(one.etcd, "txn", loses)
            await nodes.settle()
        members = one.cluster.failsafe
        await nodes.end(three)
        nodes.keys.pairs.clear()
        for _ in range(4):
            await nodes.look()
        assert one.cluster.failsafe == members


async def test_a_removed_member_stays_removed_while_another_joins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to the list with both comes after the removal."""
    async with cluster(tmp_path) as nodes:
        one, two, three = nodes.members
        await nodes.settle()
        await nodes.end(three)
        nodes.pass_time(TTL_SECONDS + 1)
        await nodes.until(lambda: three.id not in one.cluster.members and one.leads)
        txn, keys = one.etcd.txn, Keys(one.node.open_store.database_id or b"")
        nodes.keys.txn([], [Put(keys.failsafe, failsafe_value([one.id, three.id]))], [])
        is_done, may_answer = asyncio.Event(), asyncio.Event()

        async def slow(compares: Any, then: Any, otherwise: Any = ()) -> TxnOutcome:
            outcome = await txn(compares, then, otherwise)
            if any(isinstance(each, Put) and each.key == keys.failsafe for each in then):
                is_done.set()
                await may_answer.wait()
            return outcome

        with monkeypatch.context() as patched:
            patched.setattr(one.etcd, "txn", slow)
            look = asyncio.create_task(one.look())
            await is_done.wait()
        orders = one.node.served.failover
        assert orders is not None
        await orders.remove(three.id)
        may_answer.set()
        await look
        for _ in range(4):
            await nodes.look()
        assert one.cluster.failsafe == frozenset({one.id, two.id})
