"""What a node says of itself: nothing that a loss of power would take back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from replicad.daemon.open_store import OpenStore
from replicad.daemon.own_standing import OwnStanding
from replicad.daemon.roles.takeover import Takeover
from replicad.replication.options import RoleOptions
from replicad.replication.policy.roles import Standing
from replicad.replication.wire.messages import Handover, Ready, Refuse
from tests.support.fake_store import FakeStore
from tests.support.programs import primary, replica_of, streams, until

WITHIN_MS = 20_000


def behind(store: FakeStore, standing: Standing = Standing.FOLLOWING) -> Takeover:
    """A target as far as a handover looks at it."""
    unused: Any = None
    own_standing, open_store = OwnStanding(), OpenStore()
    own_standing.begin_as(standing)
    open_store.database = cast(Any, store)
    return Takeover(
        RoleOptions(),
        standing=own_standing,
        store=open_store,
        memory=unused,
        peers=unused,
        link=unused,
        promotion=unused,
        lock=unused,
    )


def handover(store: FakeStore, within_ms: int = WITHIN_MS) -> Handover:
    return Handover(b"p" * 16, store.database_id, store.position, within_ms)


async def test_a_target_is_ready_when_the_position_is_durable() -> None:
    store = FakeStore(auto_sync=False)
    store.write(b"v")
    answer = asyncio.ensure_future(behind(store).get_ready(handover(store)))
    for _ in range(5):
        store.notify()
        await asyncio.sleep(0)
    assert not answer.done(), "it is applied, and not durable"
    store.sync()
    assert await answer == Ready(store.position)


async def test_a_target_that_is_not_there_in_time_is_behind() -> None:
    store = FakeStore(auto_sync=False)
    store.write(b"v")
    answer = await behind(store).get_ready(handover(store, within_ms=1))
    assert isinstance(answer, Refuse)
    assert answer.code == "behind"


@pytest.mark.parametrize(
    "standing", [standing for standing in Standing if standing is not Standing.FOLLOWING]
)
async def test_only_a_follower_gets_ready(standing: Standing) -> None:
    store = FakeStore()
    answer = await behind(store, standing).get_ready(handover(store))
    assert isinstance(answer, Refuse)
    assert answer.code == "not-following"


async def test_a_node_shows_its_durable_position(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its program's record of itself, which others read while it is down, never runs ahead of the disk."""
    async with primary(tmp_path / "a", store__durability="async") as node:
        store = node.store
        assert store is not None
        await until(lambda: store.durable_position == store.position)
        durable = store.durable_position
        monkeypatch.setattr(type(store), "durable_position", durable)
        store.put(b"k", b"v")
        assert store.position != durable
        assert node.publisher.state().position == str(durable)


async def test_acknowledged_writes_that_are_not_durable_make_replicas_older(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under "async" no heartbeat says that nothing is after the durable position while something is."""
    async with (
        primary(tmp_path / "a", store__durability="async") as node,
        replica_of(node, tmp_path / "r") as r,
    ):
        await until(lambda: streams(r, b"a"))
        store, feed = node.store, node.open_store.feed
        assert store is not None and feed is not None
        await until(lambda: len(feed.sessions) == 1)
        (session,) = feed.sessions.values()
        await until(lambda: session.echo.beat().age_us == 0)
        with monkeypatch.context() as held:
            held.setattr(type(store), "durable_sequence", store.durable_sequence)
            store.put(b"k", b"v")
            assert session.echo.beat().age_us
        await until(lambda: session.echo.beat().age_us == 0)


async def test_a_change_of_role_outlives_whoever_asked_for_it(tmp_path: Path) -> None:
    """A client that leaves in the middle of one does not leave the node between two standings."""
    async with primary(tmp_path / "a") as node:
        begun, goes_on = asyncio.Event(), asyncio.Event()
        steps: list[str] = []

        async def change() -> str:
            begun.set()
            await goes_on.wait()
            steps.append("done")
            return ""

        asker = asyncio.ensure_future(node.lock.run(change()))
        await begun.wait()
        asker.cancel()
        await asyncio.gather(asker, return_exceptions=True)
        goes_on.set()
        await until(lambda: steps == ["done"])
