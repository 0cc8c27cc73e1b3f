"""A failover, look by look."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from replicad.daemon.failover.keys import Keys
from replicad.errors import EtcdError, RoleRefused
from replicad.etcd.calls import Delete, Put, TxnOutcome
from replicad.replication.policy.failover.turn import Turn
from replicad.replication.policy.roles import Standing
from replicad.replication.policy.synchronous import Level, parse_rule
from replicad.replication.wire.messages import Failsafe, Promise
from tests.support.nodes.cluster import TTL_SECONDS, Member, Nodes, cluster
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(60)


async def serves(nodes: Nodes, member: Member) -> None:
    await nodes.until(lambda: member.node.standing.current is Standing.PRIMARY)


def leader_of(nodes: Nodes) -> Member | None:
    found = [member for member in nodes.members if member.leads]
    return found[0] if found else None


async def elected(nodes: Nodes, *but: Member) -> Member:
    """Who leads once the lease of the leader before has ended."""
    nodes.pass_time(TTL_SECONDS + 1)
    await nodes.until(lambda: leader_of(nodes), *but)
    found = leader_of(nodes)
    assert found is not None
    return found


# Leading.


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


# Elections.


async def test_another_node_leads_once_the_lease_of_a_dead_one_has_ended(tmp_path: Path) -> None:
    """Not before. What the primary acknowledged is there, and the third node follows by itself."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        await serves(nodes, one)
        assert one.node.store is not None
        one.node.store.put(b"k", b"v")
        others = [member.node for member in nodes.members if member is not one]
        await until(lambda: all(node.store and node.store.get(b"k") == b"v" for node in others))
        await nodes.end(one)
        await nodes.look()
        assert not any(member.agent.promises.is_claiming for member in nodes.members)

        leader = await elected(nodes)
        (third,) = [member for member in nodes.members if member is not leader]
        assert leader.node.store is not None and leader.node.store.get(b"k") == b"v"
        assert leader.node.open_store.epoch == 2
        await nodes.until(lambda: third.node.link.is_linked)
        assert third.node.memory.primary == leader.node.addresses.replication_address


async def test_a_leader_that_stood_still_follows_the_one_that_was_elected(tmp_path: Path) -> None:
    """It acknowledges nothing from the moment on at which its right has ended."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        await serves(nodes, one)
        leader = await elected(nodes, one)
        assert leader is not one and not one.leads
        assert one.node.standing.current is not Standing.PRIMARY
        await nodes.until(lambda: one.node.link.is_linked)
        assert one.node.standing.current is Standing.FOLLOWING


async def test_a_candidate_fetches_what_another_has_more(tmp_path: Path) -> None:
    """It comes first by its priority, and was cut off when the last writes were acknowledged."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        await serves(nodes, one)
        _, two, three = nodes.members
        await two.node.link.stop()
        assert one.node.store is not None and three.node.store is not None
        for number in range(50):
            one.node.store.put(b"k%d" % number, b"v")
        last = one.node.store.durable_sequence
        await until(lambda: three.node.store is not None and three.node.store.durable_sequence >= last)
        await nodes.end(one)
        object.__setattr__(two.agent.options, "priority", 200)
        assert await elected(nodes) is two
        assert two.node.store is not None and two.node.store.get(b"k49") == b"v"


async def test_too_few_promises_make_nobody_a_primary(tmp_path: Path) -> None:
    """The third node runs, and refuses: the claim is given up, and the leadership is free again."""
    async with cluster(tmp_path, roles__switchover_seconds=0.3) as nodes:
        one = await nodes.settle()
        _, two, three = nodes.members
        await nodes.end(one)
        await three.look()
        nodes.pass_time(TTL_SECONDS + 1)
        three.agent.promises._held_until = nodes.clock.now + 1000.0
        await three.look()
        with pytest.raises(RoleRefused, match=r"1 of the 2 replicas that count promised, and 2 are needed"):
            await two.agent.promote(force=False)
        assert two.node.standing.current is Standing.FOLLOWING
        assert two.node.open_store.epoch == 1
        cluster_now, _ = await two.agent.fresh()
        assert cluster_now.leader is None


async def test_a_node_whose_candidacy_came_to_nothing_lets_others_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that cannot begin, as without room on its disk, would claim again and again."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        two, three = nodes.members[1:]
        object.__setattr__(two.agent.options, "priority", 200)
        await nodes.look()

        async def no_room(*_: object, **__: object) -> str:
            raise RoleRefused("no room")

        monkeypatch.setattr(two.agent._candidacy, "_begin", no_room)
        await nodes.end(one)
        nodes.pass_time(TTL_SECONDS + 1)

        def passes() -> Member | None:
            nodes.pass_time(0.05)
            return leader_of(nodes) if three.node.open_store.epoch > 1 else None

        await nodes.until(passes)
        assert leader_of(nodes) is three
        await nodes.until(lambda: two.agent.decision.turn is Turn.FOLLOW)
        assert two.agent._candidacy.rests is None


async def test_a_claim_whose_outcome_is_unknown_is_not_taken_for_lost_nor_won(tmp_path: Path) -> None:
    """It may have been executed: nobody begins an epoch by it, and the next look gives it up."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        two = nodes.members[1]
        await nodes.end(one)
        nodes.pass_time(TTL_SECONDS + 1)
        await nodes.members[-1].look()
        await two.look()
        cluster_before, _ = await two.agent.fresh()
        if two.agent._election is not None:
            two.agent._election.cancel()
            await asyncio.gather(two.agent._election, return_exceptions=True)
        two.etcd.loses_answers = True
        with pytest.raises(RoleRefused, match="is unknown"):
            await two.agent._candidacy.stand(cluster_before)
        assert two.node.open_store.epoch == 1 and not two.agent.leadership.right.leads
        two.etcd.loses_answers = False
        await nodes.until(lambda: leader_of(nodes))


async def test_a_higher_promise_ends_a_candidacy(tmp_path: Path) -> None:
    """Another node claimed a later epoch meanwhile: this one begins none."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        _, two, three = nodes.members
        await nodes.end(one)
        nodes.pass_time(TTL_SECONDS + 1)
        found, _ = await two.agent.fresh()
        gather = two.agent._candidacy._gather

        async def then_promises(*arguments: object, **keywords: object) -> object:
            promised = await gather(*arguments, **keywords)  # type: ignore[arg-type]
            await two.agent.promises.record(9, three.node.identity.node)
            return promised

        two.agent._candidacy._gather = then_promises  # type: ignore[method-assign, assignment]
        await two.agent._lease.keep()
        with pytest.raises(RoleRefused, match="epoch 9 came first"):
            await two.agent._candidacy.stand(found)
        assert two.node.open_store.epoch == 1


async def test_two_that_claim_at_once_do_not_both_lead(tmp_path: Path) -> None:
    """The epoch that both saw free is one node's."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        _, two, three = nodes.members
        await nodes.end(one)
        nodes.pass_time(TTL_SECONDS + 1)
        seen, _ = await two.agent.fresh()
        for member in (two, three):
            await member.agent._lease.keep()
        outcomes = await asyncio.gather(
            two.agent._candidacy.stand(seen), three.agent._candidacy.stand(seen), return_exceptions=True
        )
        refused = [each for each in outcomes if isinstance(each, RoleRefused)]
        assert len(refused) == 1 and "claimed the leadership first" in str(refused[0])
        assert sorted([two.node.open_store.epoch, three.node.open_store.epoch])[1] == 2


async def test_without_a_rule_a_node_that_lacks_too_much_does_not_lead(tmp_path: Path) -> None:
    """Writes wait for nobody, so a failover may lose some: it says how much, and there is a bound."""
    async with cluster(tmp_path, synchronous="", failover__lag_bytes_max=100) as nodes:
        one = await nodes.settle()
        await serves(nodes, one)
        _, two, three = nodes.members
        await two.node.link.stop()
        await three.node.link.stop()
        assert one.node.store is not None
        one.node.store.put(b"k", b"v" * 1000)
        await until(lambda: one.node.store is not None and one.node.store.durable_sequence >= 1)
        await one.look()  # the others would follow again
        await nodes.end(one)
        nodes.pass_time(TTL_SECONDS + 1)
        for _ in range(3):
            await nodes.look()
        assert leader_of(nodes) is None
        assert "more than lag_bytes_max" in two.agent.decision.reason
        object.__setattr__(two.agent.options, "lag_bytes_max", 1 << 20)
        nodes.pass_time(1.0)  # for nodes that come before it
        await nodes.until(lambda: leader_of(nodes))
        assert leader_of(nodes) is two


async def test_a_replica_claims_nothing_that_no_leader_has_told_etcd_of(tmp_path: Path) -> None:
    """It has [failover] before its primary has; or etcd lost its data, and a leader acknowledges still."""
    async with cluster(tmp_path) as nodes:
        one, two, _ = nodes.members
        nodes.pass_time(TTL_SECONDS + 1)
        for _ in range(5):
            await nodes.look(one)
        assert two.agent.decision.reason == "no leader has counted it as a member yet"
        with pytest.raises(RoleRefused, match="start the primary"):
            await two.node.served.promote(force=False)
        await nodes.settle()
        nodes.keys.pairs.clear()
        nodes.pass_time(1.0)
        for _ in range(5):
            await nodes.look(one)
        assert two.agent.decision.reason == "no leader has counted it as a member yet"
        assert one.leads
        assert await nodes.settle() is one
        assert one.node.open_store.epoch == 1


# What an operator orders.


async def test_a_switchover_goes_through_etcd(tmp_path: Path) -> None:
    """The target claims what the leader frees; the leader follows it, and nothing is lost."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        await serves(nodes, one)
        two = nodes.members[1]
        switchover = asyncio.ensure_future(one.node.served.switch_over(two.id, timeout_seconds=20.0))
        await nodes.until(switchover.done)
        assert await switchover == two.node.addresses.clients
        assert two.node.open_store.epoch == 2
        await nodes.until(lambda: two.leads and one.node.link.is_linked)
        assert two.cluster.switchover is None


async def test_a_switchover_needs_no_other_replica(tmp_path: Path) -> None:
    """The leader that hands over has all, and promises the epoch, too."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        await serves(nodes, one)
        two, three = nodes.members[1:]
        await nodes.end(three)
        switchover = asyncio.ensure_future(one.node.served.switch_over(two.id, timeout_seconds=20.0))
        await nodes.until(switchover.done)
        assert await switchover == two.node.addresses.clients
        assert two.node.open_store.epoch == 2 and one.node.memory.promised_epoch == 2


async def test_a_leader_that_promised_while_it_handed_over_leads_no_more(tmp_path: Path) -> None:
    """Also where nobody took the leadership: it goes back to being a replica."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        await serves(nodes, one)
        two, three = nodes.members[1:]
        switchover = asyncio.ensure_future(one.node.served.switch_over(two.id, timeout_seconds=1.0))
        await until(lambda: one.node.standing.current is Standing.HANDING_OVER)
        store = three.node.store
        assert store is not None
        one.etcd.is_cut = True  # so that the promise does not hang on a claim
        await one.agent.promises.promise(Promise(three.node.identity.node, store.database_id, 2))
        one.etcd.is_cut = False
        while not switchover.done():
            await asyncio.sleep(0.005)
            await one.look()
            assert not one.leads
        with pytest.raises(RoleRefused, match="rolled back"):
            await switchover
        await nodes.until(lambda: one.node.standing.role == "replica", two, three)
        assert not one.leads


async def test_a_switchover_to_a_node_that_holds_still_is_refused_at_once(tmp_path: Path) -> None:
    """As shortly after its start: writes do not wait until it may claim the leadership."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        await serves(nodes, one)
        two = nodes.members[1]
        assert one.node.store is not None
        question = Failsafe(one.node.identity.node, one.node.store.database_id, 1, 3000)
        two.agent.promises.follows(question)
        with pytest.raises(RoleRefused, match=r"writes go on here: it follows .* holds still"):
            await one.node.served.switch_over(two.id, timeout_seconds=20.0)
        assert one.leads
        assert one.node.standing.current is Standing.PRIMARY


async def test_a_switchover_that_nobody_takes_is_rolled_back(tmp_path: Path) -> None:
    """The leader leads again, in the same epoch."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        await serves(nodes, one)
        two, three = nodes.members[1:]
        switchover = asyncio.ensure_future(one.node.served.switch_over(two.id, timeout_seconds=0.5))
        while not switchover.done():
            await one.look()
            await asyncio.sleep(0.005)
        with pytest.raises(RoleRefused, match="rolled back"):
            await switchover
        await nodes.until(lambda: one.leads, two, three)
        await nodes.until(lambda: one.node.standing.current is Standing.PRIMARY, two, three)
        assert one.node.open_store.epoch == 1

        # Its order is gone, too: it would make that node a primary although failover is paused.
        orders = two.node.served.failover
        assert orders is not None and await orders.pause(paused=True)
        await nodes.end(one)
        nodes.pass_time(TTL_SECONDS + 1)
        for _ in range(3):
            await nodes.look()
        assert two.agent.decision.reason == "failover is paused" and leader_of(nodes) is None


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


async def test_nobody_is_promoted_while_failover_is_paused(tmp_path: Path) -> None:
    """An operator still can."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        two, _three = nodes.members[1:]
        orders = two.node.served.failover
        assert orders is not None and await orders.pause(paused=True)
        assert not await orders.pause(paused=True)
        await nodes.end(one)
        nodes.pass_time(TTL_SECONDS + 1)
        for _ in range(3):
            await nodes.look()
        assert leader_of(nodes) is None and two.agent.decision.reason == "failover is paused"
        promotion = asyncio.ensure_future(two.node.served.promote(force=False))
        await nodes.until(promotion.done)
        assert await promotion == ""
        await nodes.until(lambda: two.leads)
        assert await orders.pause(paused=False)


async def test_a_node_that_is_gone_counts_until_it_is_removed(tmp_path: Path) -> None:
    """Its lease has ended, and nothing has changed; one that runs is not removed."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        two, three = nodes.members[1:]
        orders = one.node.served.failover
        assert orders is not None
        with pytest.raises(RoleRefused, match="runs: end it first"):
            await orders.remove(three.id)
        await nodes.end(three)
        nodes.pass_time(TTL_SECONDS + 1)
        await nodes.until(lambda: three.id not in one.cluster.members and one.leads)
        assert one.cluster.rule is not None and three.id in one.cluster.rule.replicas
        with pytest.raises(RoleRefused, match="does not begin the id of one member"):
            await orders.remove("abc")
        behind = (await one.agent.fresh())[0]
        await orders.remove(three.id[:8])
        with pytest.raises(RoleRefused, match="nothing has changed"):
            await one.agent.leading.remove(three.id, behind, Keys(one.node.open_store.database_id or b""))
        await nodes.until(
            lambda: (
                one.cluster.failsafe == frozenset({one.id, two.id})
                and one.cluster.rule is not None
                and one.cluster.rule.replicas == frozenset({two.id})
            )
        )


async def test_a_leader_without_etcd_asks_no_node_that_was_removed(tmp_path: Path) -> None:
    """It would stop otherwise: nobody answers there."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        three = nodes.members[2]
        orders = one.node.served.failover
        assert orders is not None
        await nodes.end(three)
        nodes.pass_time(TTL_SECONDS + 1)
        await nodes.until(lambda: three.id not in one.cluster.members and one.leads)
        await orders.remove(three.id)
        await nodes.look()
        for member in nodes.members:
            member.etcd.is_cut = True
        for _ in range(3):
            nodes.pass_time(TTL_SECONDS - 2)
            await one.agent.failsafe.ask()
            assert one.leads


async def test_a_promotion_says_who_leads(tmp_path: Path) -> None:
    """And --force takes the leadership from that one."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        two = nodes.members[1]
        with pytest.raises(RoleRefused, match="leads: replicad switchover loses nothing"):
            await two.node.served.promote(force=False)
        promotion = asyncio.ensure_future(two.node.served.promote(force=True))
        await nodes.until(promotion.done)
        await promotion
        await nodes.until(lambda: two.leads and one.node.link.is_linked)


async def test_what_a_forced_promotion_gives_up_is_saved_and_said(tmp_path: Path) -> None:
    """A paused replica holds what others may lack: without force it does not become the primary."""
    async with cluster(tmp_path, "one", "two") as nodes:
        one = await nodes.settle()
        await serves(nodes, one)
        two = nodes.members[1]
        apply, feed, store = two.node.data.delay.apply, one.node.open_store.feed, one.node.store
        assert apply is not None and feed is not None and store is not None
        await apply.pause(None)
        store.put(b"k", b"v")
        await until(lambda: store.durable_sequence == 1 and feed.waits.holders("durable", 1))
        await nodes.end(one)
        nodes.pass_time(TTL_SECONDS + 1)
        with pytest.raises(RoleRefused, match="paused at sequence number 0"):
            await two.node.served.promote(force=False)
        said = await two.node.served.promote(force=True)
        assert f"saved in {tmp_path / 'two' / 'discarded'}" in said


async def test_a_promotion_applies_what_waits(tmp_path: Path) -> None:
    """Of a replica that applies late: it has received it, and nobody else may have it."""
    async with cluster(tmp_path, "one", "two") as nodes:
        one = await nodes.settle()
        await serves(nodes, one)
        two = nodes.members[1]
        apply, feed, store = two.node.data.delay.apply, one.node.open_store.feed, one.node.store
        assert apply is not None and feed is not None and store is not None
        apply.reconfigure(delay_us=3600 * 1_000_000, bytes_max=apply.bytes_max)
        store.put(b"k", b"v")
        await until(lambda: store.durable_sequence == 1 and feed.waits.holders("durable", 1))
        assert two.node.store is not None and two.node.store.get(b"k") is None
        await nodes.end(one)
        nodes.pass_time(TTL_SECONDS + 1)
        assert await two.node.served.promote(force=False) == ""
        assert two.node.store.get(b"k") == b"v"


async def test_whom_a_node_follows_is_not_for_an_operator_to_say(tmp_path: Path) -> None:
    """The next look would undo it."""
    async with cluster(tmp_path, "one", "two") as nodes:
        await nodes.settle()
        with pytest.raises(RoleRefused, match="etcd says whom"):
            await nodes.members[1].node.served.follow("127.0.0.1", 1)


async def test_a_clean_stop_frees_the_leadership(tmp_path: Path) -> None:
    """Nobody waits for its lease."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        nodes.members.remove(one)
        await nodes.stacks[one.id].aclose()
        await nodes.until(lambda: leader_of(nodes))


async def test_a_claim_by_an_old_look_comes_to_nothing(tmp_path: Path) -> None:
    """Another node claimed that epoch since, and is gone again: nobody leads, but the number is taken."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        two = nodes.members[1]
        await nodes.end(one)
        nodes.pass_time(TTL_SECONDS + 1)
        await two.agent._lease.keep()
        seen, keys = await two.agent.fresh()
        nodes.keys.txn([], [Put(keys.epoch, b"2")], [])
        with pytest.raises(RoleRefused, match="claimed the leadership first"):
            await two.agent._candidacy.stand(seen)


async def test_a_candidate_that_holds_still_gives_its_claim_up(tmp_path: Path) -> None:
    """It told a leader shortly before that it follows, and its claim arrived all the same."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        two = nodes.members[1]
        store = one.node.store
        assert store is not None
        nodes.keys.revoke(one.agent._lease.id)
        one.etcd.is_cut = True
        two.agent.promises.follows(Failsafe(one.node.identity.node, store.database_id, 1, TTL_SECONDS * 1000))
        await two.agent._lease.keep()
        seen, _ = await two.agent.fresh()
        with pytest.raises(RoleRefused, match="it holds still"):
            await two.agent._candidacy.stand(seen)
        assert two.node.memory.promised_epoch == 0
        now, _ = await two.agent.fresh()
        assert now.leader is None


async def test_a_lease_that_may_have_ended_begins_no_epoch(tmp_path: Path) -> None:
    """The promises took long: somebody else may have claimed a later epoch, and be ahead of this one."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        two = nodes.members[1]
        await nodes.end(one)
        nodes.pass_time(TTL_SECONDS + 1)
        await nodes.members[-1].look()
        await two.agent._lease.keep()
        seen, _ = await two.agent.fresh()
        gather = two.agent._candidacy._gather

        async def takes_long(*arguments: object, **keywords: object) -> object:
            promised = await gather(*arguments, **keywords)  # type: ignore[arg-type]
            nodes.pass_time(TTL_SECONDS)
            return promised

        two.agent._candidacy._gather = takes_long  # type: ignore[method-assign, assignment]
        with pytest.raises(RoleRefused, match="may have ended"):
            await two.agent._candidacy.stand(seen)
        assert two.node.open_store.epoch == 1


async def test_a_candidate_may_take_longer_than_its_lease_lasts(tmp_path: Path) -> None:
    """Log that it lacks is fetched while the lease goes on, and etcd names this node."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        two = nodes.members[1]
        await nodes.end(one)
        nodes.pass_time(TTL_SECONDS + 1)
        await nodes.members[-1].look()
        await two.agent._lease.keep()
        gather = two.agent._candidacy._gather

        async def takes_long(*arguments: object, **keywords: object) -> object:
            promised = await gather(*arguments, **keywords)  # type: ignore[arg-type]
            for _ in range(2 * TTL_SECONDS):
                nodes.pass_time(1.0)
                await nodes.look()
            return promised

        two.agent._candidacy._gather = takes_long  # type: ignore[method-assign, assignment]
        assert await two.node.served.promote(force=False) == ""
        assert two.node.open_store.epoch == 2


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


async def test_a_leader_moves_above_what_a_member_has_promised(tmp_path: Path) -> None:
    """A candidate claimed an epoch, and then etcd lost its data: the member that promised it follows no
    leader of a lower one."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        await serves(nodes, one)
        three = nodes.members[2]
        await three.agent.promises.record(7, three.node.identity.node)
        await three.node.link.stop()
        nodes.keys.pairs.clear()

        def newest_leader() -> Member | None:
            nodes.pass_time(0.1)
            found = leader_of(nodes)
            return found if found is not None and found.node.open_store.epoch > 7 else None

        await nodes.until(newest_leader)
        leader = leader_of(nodes)
        await nodes.until(lambda: all(m is leader or m.node.link.is_linked for m in nodes.members))
