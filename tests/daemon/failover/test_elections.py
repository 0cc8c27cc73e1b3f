"""Elections: who leads when nobody does, look by look."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from replicad.errors import RoleRefused
from replicad.etcd.calls import Put
from replicad.replication.policy.failover.turn import Turn
from replicad.replication.policy.roles import Standing
from replicad.replication.wire.messages import Failsafe
from tests.support.nodes.cluster import (
    TTL_SECONDS,
    Member,
    cluster,
    elected,
    leader_of,
    serves,
)
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(60)


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
