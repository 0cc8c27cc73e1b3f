"""A promotion without force loses nothing that a node holds which this one has ever heard of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from replicad.daemon.parts import NodeParts
from replicad.errors import RoleRefused
from replicad.net.addresses import Address
from replicad.replication.policy.roles import Standing
from replicad.replication.wire.messages import StandingMessage
from tests.support.nodes.programs import primary, replica_of, streams
from tests.support.waiting import until


def knows(node: NodeParts, other: NodeParts) -> bool:
    peer = node.peers.get(other.identity.node)
    return peer is not None and bool(peer.is_proven)


class Cluster:
    """A primary that is dead, and two replicas of it: `ahead` has what it acknowledged last, `behind` was
    down then and is back."""

    def __init__(self, ahead: NodeParts, behind: NodeParts, stop_ahead: AsyncExitStack) -> None:
        self.ahead, self.behind = ahead, behind
        self.stop_ahead = stop_ahead


@asynccontextmanager
async def after_the_primary_died(directory: Path) -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as p_life, AsyncExitStack() as ahead_life:
        p = await p_life.enter_async_context(primary(directory / "p"))
        ahead = await ahead_life.enter_async_context(replica_of(p, directory / "ahead"))
        async with replica_of(p, directory / "behind") as first:
            await until(lambda: streams(ahead, b"p") and streams(first, b"p"))
            await until(lambda: knows(first, ahead) and knows(ahead, first))
            await first.link.note_progress()
        assert p.store is not None
        for number in range(100):
            p.store.put(b"k", b"%d" % number)
        last = p.store.durable_position
        await until(lambda: ahead.store is not None and ahead.store.durable_position == last)
        await p_life.aclose()
        async with replica_of(p, directory / "behind") as behind:
            yield Cluster(ahead, behind, ahead_life)


async def test_a_replica_is_not_promoted_while_another_has_more(tmp_path: Path) -> None:
    """It has never been connected to that one, and knows it from the primary, through a restart. The one that
    has more is promoted without force."""
    async with after_the_primary_died(tmp_path) as cluster:
        where = str(cluster.ahead.clients.address)
        with pytest.raises(RoleRefused, match=f"{where} is further.*2 to 101"):
            await cluster.behind.promotion.promote(force=False)
        assert cluster.behind.standing.current is Standing.FOLLOWING
        assert await cluster.ahead.promotion.promote(force=False) == ""


async def test_a_forced_promotion_says_what_another_has(tmp_path: Path) -> None:
    """And the one that has more is told what it would have to discard before it follows."""
    async with after_the_primary_died(tmp_path) as cluster:
        ahead = cluster.ahead
        await ahead.link.stop()
        lost = await cluster.behind.promotion.promote(force=True)
        assert "2 to 101" in lost and str(ahead.clients.address) in lost
        with pytest.raises(RoleRefused, match=r"discard sequence numbers 2 to 101.*rejoin"):
            await ahead.following.follow(*cluster.behind.clients.address)
        assert ahead.store is not None and ahead.store.position.sequence == 101


async def test_a_replica_that_cannot_be_asked_is_named(tmp_path: Path) -> None:
    """It may have what the primary acknowledged: only force, or that the operator drops it, promotes another.
    That the primary is dead does not count against it."""
    async with after_the_primary_died(tmp_path) as cluster:
        behind, where = cluster.behind, str(cluster.ahead.clients.address)
        await cluster.stop_ahead.aclose()
        with pytest.raises(RoleRefused, match=f"{where} cannot be asked"):
            await behind.promotion.promote(force=False)
        assert behind.served.drop_slot(cluster.ahead.identity.node)
        assert await behind.promotion.promote(force=False) == ""


async def test_replicas_hear_of_each_other_and_of_who_was_dropped(tmp_path: Path) -> None:
    """The primary tells those that stream, when another comes, and when its operator drops one."""
    async with primary(tmp_path / "p") as p, replica_of(p, tmp_path / "a") as a:
        await until(lambda: streams(a, b"p"))
        async with replica_of(p, tmp_path / "b") as b:
            await until(lambda: streams(b, b"p") and knows(a, b) and knows(p, b))
        await until(lambda: b.identity.node not in (p.open_store.feed.sessions if p.open_store.feed else ()))
        assert p.served.drop_slot(b.identity.node)
        await until(lambda: not knows(a, b))
        assert not knows(p, b)


async def test_nodes_that_a_replica_does_not_know_are_found_through_others(tmp_path: Path) -> None:
    """A replica of a replica, whose upstream is asked, counts as well."""
    async with (
        primary(tmp_path / "p") as p,
        replica_of(p, tmp_path / "b") as b,
        replica_of(p, tmp_path / "a") as a,
        replica_of(a, tmp_path / "c") as c,
    ):
        await until(lambda: streams(b, b"p") and streams(c, b"p") and knows(a, c) and knows(b, a))
        await until(lambda: not b.peers._checking)
        b.peers.forget(c.identity.node)
        asked = await b.survey.ask_transitively()
        assert c.identity.node in {answer.node for answer in asked.values() if answer is not None}


async def test_a_primary_that_another_node_hears_is_not_dead(tmp_path: Path) -> None:
    """The candidate cannot reach it; a node that it can reach does. Once nobody hears it, it may be."""
    async with AsyncExitStack() as p_life, AsyncExitStack() as stack:
        p = await p_life.enter_async_context(primary(tmp_path / "p"))
        hearing = await stack.enter_async_context(replica_of(p, tmp_path / "hearing"))
        cut_off = await stack.enter_async_context(replica_of(p, tmp_path / "cut-off"))
        await until(lambda: streams(hearing, b"p") and streams(cut_off, b"p"))
        await until(lambda: knows(cut_off, hearing) and hearing.survey.introduce().heard_ms is not None)
        await cut_off.link.stop()
        answers = cut_off.peers.ask
        gone = p.addresses.replication_address

        async def cannot_reach(address: Address, seconds: float) -> StandingMessage | None:
            return None if address == gone else await answers(address, seconds)

        cut_off.peers.ask = cannot_reach  # type: ignore[method-assign]
        with pytest.raises(RoleRefused, match=f"{hearing.clients.address} hears the primary"):
            await cut_off.promotion.promote(force=False)
        await p_life.aclose()
        await until(lambda: hearing.survey.introduce().heard_ms is None)
        assert await cut_off.promotion.promote(force=False) == ""


async def test_two_that_are_promoted_apart_begin_two_epochs(tmp_path: Path) -> None:
    """Each by force, without hearing of the other; when they meet, the higher one stays."""
    async with (
        primary(tmp_path / "p") as p,
        replica_of(p, tmp_path / "a") as a,
        replica_of(p, tmp_path / "b") as b,
    ):
        await until(lambda: streams(a, b"p") and streams(b, b"p") and knows(a, b) and knows(b, a))

        async def answers_nobody(address: Address, seconds: float) -> StandingMessage | None:
            return None

        asks = [(node, node.peers.ask) for node in (a, b)]
        for node, _ in asks:
            node.peers.ask = answers_nobody  # type: ignore[method-assign]
        for node in (a, b):
            await node.promotion.promote(force=True)
        epochs = [a.open_store.epoch, b.open_store.epoch]
        assert epochs[0] != epochs[1]
        for node, ask in asks:
            node.peers.ask = ask  # type: ignore[method-assign]
        lower, higher = (a, b) if epochs[0] < epochs[1] else (b, a)
        await lower.survey.ask(lower.peers.addresses())
        await until(lambda: lower.standing.current in (Standing.FENCED, Standing.FOLLOWING))
        assert higher.standing.current is Standing.PRIMARY


async def test_the_other_replicas_find_the_node_that_was_promoted(tmp_path: Path) -> None:
    """Nobody tells them: they know the nodes of their cluster, also through a restart."""
    async with after_the_primary_died(tmp_path) as cluster:
        await cluster.ahead.promotion.promote(force=False)
        behind, where = cluster.behind, cluster.ahead.addresses.replication_address
        survey = asyncio.ensure_future(behind.survey.run())
        try:
            await until(lambda: streams(behind, b"p") and behind.memory.primary == where)
        finally:
            survey.cancel()
