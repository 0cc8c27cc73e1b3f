"""A promotion without force loses nothing that a node holds which this one has ever heard of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from replicad.daemon.parts import NodeParts
from replicad.errors import RoleRefused
from replicad.replication.policy.roles import Standing
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
