"""A leader that etcd does not answer goes on while every member follows it, and no longer."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from replicad.daemon.failover.failsafe import why_not_all
from replicad.replication.wire.messages import Follows, Ready
from replicad.types import ORIGIN
from tests.support.nodes.cluster import TTL_SECONDS, Nodes, cluster

pytestmark = pytest.mark.timeout(60)

A, B = bytes([1]) * 16, bytes([2]) * 16
MEMBERS = frozenset({A.hex(), B.hex()})


def test_every_member_has_to_say_it() -> None:
    """Of itself, and in this epoch; a majority is not enough."""
    good = {A.hex(): Follows(A, 5), B.hex(): Follows(B, 5)}
    assert why_not_all(MEMBERS, good, 5) is None
    assert why_not_all(frozenset(), {}, 5) is None
    for node, answer in (
        (A.hex(), "it does not answer"),
        (A.hex(), Follows(B, 5)),
        (B.hex(), Follows(B, 4)),
        (B.hex(), Ready(ORIGIN)),
    ):
        assert node[:8] in str(why_not_all(MEMBERS, good | {node: answer}, 5))
    assert "nobody knows where" in str(why_not_all(MEMBERS, {A.hex(): Follows(A, 5)}, 5))


async def without_etcd(nodes: Nodes) -> None:
    for member in nodes.members:
        member.etcd.is_cut = True


async def test_a_leader_without_etcd_goes_on_while_all_follow_it(tmp_path: Path) -> None:
    """And nobody claims the leadership while it counts on that."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        await without_etcd(nodes)
        for _ in range(5):
            nodes.pass_time(TTL_SECONDS - 2)
            await one.agent.failsafe.ask()
            await nodes.look()
            assert one.leads
        for member in nodes.members:
            member.etcd.is_cut = False
        await nodes.look(one)
        assert not any(member.agent.promises.is_claiming for member in nodes.members)
        await nodes.until(lambda: one.agent.unreachable is None and one.leads)
        assert one.node.open_store.epoch == 1


async def test_who_holds_still_says_so_once(tmp_path: Path) -> None:
    """Replicas look often while the lease of the leader that they follow has ended."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        one.etcd.is_cut = True
        with capture_logs() as events:
            for _ in range(5):
                nodes.pass_time(TTL_SECONDS - 2)
                await one.agent.failsafe.ask()
                await nodes.look(one)
        held = [event["reason"] for event in events if event["event"] == "failover.turn"]
        assert len(held) == 2 and all(reason.endswith("it holds still") for reason in held)
        assert one.leads


async def test_one_member_that_is_missing_is_enough_to_stop_it(tmp_path: Path) -> None:
    """It may lead by now, and the others need not know."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        await nodes.end(nodes.members[2])
        await without_etcd(nodes)
        nodes.pass_time(TTL_SECONDS - 2)
        await one.agent.failsafe.ask()
        assert one.leads  # its lease, still
        nodes.pass_time(1.0)
        assert not one.leads
        assert one.node.served.holds_answers() and one.node.served.holds_writes()


async def test_clients_find_a_leader_that_goes_on_without_etcd(tmp_path: Path) -> None:
    """Only the leader is cut off: etcd names nobody by then, and the others say whom they follow."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        two = nodes.members[1]
        one.etcd.is_cut = True
        nodes.pass_time(TTL_SECONDS - 1)
        await one.agent.failsafe.ask()
        nodes.pass_time(2.0)
        await nodes.look(one)
        assert two.cluster.leader is None and one.leads
        assert two.agent.promises.vouches_for == one.node.identity.node
        found = two.agent.sentinel().primary
        assert found is not None and found.node_id == one.id
        nodes.pass_time(TTL_SECONDS)
        assert two.agent.promises.vouches_for is None
        assert two.agent.sentinel().primary is None


async def test_a_node_that_may_just_have_become_a_member_is_asked(tmp_path: Path) -> None:
    """Whether it was written is unknown: until etcd was read again it may be promoted."""
    async with cluster(tmp_path) as nodes:
        one = await nodes.settle()
        watch = one.agent.failsafe
        watch.attempted(frozenset({"ff" * 16}))
        assert watch.members is not None and "ff" * 16 in watch.members
        watch.seen(one.cluster.failsafe)
        assert "ff" * 16 in watch.members
        await without_etcd(nodes)
        nodes.pass_time(TTL_SECONDS - 1)
        await watch.ask()
        assert not one.leads
        watch.seen(frozenset({"ff" * 16}))
        watch.seen(one.cluster.failsafe)
        assert watch.members is not None and "ff" * 16 not in watch.members


async def test_a_leader_that_was_never_told_its_members_does_not_go_on(tmp_path: Path) -> None:
    """It was started while etcd was away: it does not know whom to ask."""
    async with cluster(tmp_path) as nodes:
        one = nodes.members[0]
        one.etcd.is_cut = True
        await one.look()
        await one.agent.failsafe.ask()
        assert not one.leads
