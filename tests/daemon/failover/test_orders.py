"""What an operator orders of a failover, and what becomes of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from replicad.daemon.failover.keys import Keys
from replicad.errors import RoleRefused
from replicad.replication.policy.roles import Standing
from replicad.replication.wire.messages import Failsafe, Promise
from tests.support.nodes.cluster import (
    TTL_SECONDS,
    cluster,
    leader_of,
    serves,
)
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(60)


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
