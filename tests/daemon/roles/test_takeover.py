"""The target of a switchover: ready when it has everything, and primary once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

import replicad.daemon.roles.takeover
from replicad.daemon.open_store import OpenStore
from replicad.daemon.own_standing import OwnStanding
from replicad.daemon.roles.takeover import Takeover
from replicad.errors import RoleRefused
from replicad.replication.options import RoleOptions
from replicad.replication.policy.roles import Standing
from replicad.replication.wire.messages import Grant, Handover, Ready, Refuse
from replicad.types import Sequence
from tests.support.nodes.programs import primary, replica_of, streams
from tests.support.replication.fake_store import FakeStore
from tests.support.waiting import until

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
        refusal=lambda: None,
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


async def test_a_target_that_moved_on_does_not_take_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was at the granted position, and has followed further when its turn comes: it follows on."""
    async with primary(tmp_path / "p") as p, replica_of(p, tmp_path / "r") as node:
        await until(lambda: streams(node, b"p"))
        assert p.store is not None
        store = node.store
        assert store is not None
        position = store.durable_position

        async def until_at(*_: Any) -> bool:
            assert p.store is not None
            p.store.put(b"one", b"more")
            await until(lambda: store.durable_sequence > position.sequence)
            return True

        monkeypatch.setattr(replicad.daemon.roles.takeover, "_until_at", until_at)
        with pytest.raises(RoleRefused, match="any more"):
            await node.takeover.take_over(Grant(p.identity.node, p.store.database_id, position, 2))
        assert node.standing.current is Standing.FOLLOWING
        await until(lambda: streams(node, b"p"))


async def test_a_grant_that_comes_again_was_taken(tmp_path: Path) -> None:
    """Its giver did not get the answer: the target is past that position, in the epoch of the grant."""
    async with primary(tmp_path / "a") as node:
        assert node.store is not None
        newest = node.store.durable_position
        earlier = replace(newest, sequence=Sequence(newest.sequence - 1))
        await node.takeover.take_over(Grant(b"o" * 16, node.store.database_id, earlier, newest.epoch))
        assert node.standing.current is Standing.PRIMARY
        assert node.store.durable_position == newest
