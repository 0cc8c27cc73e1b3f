"""Log that is sent before it is durable: to whom, from when on, and what heartbeats say of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from replicad.replication.wire.messages import Heartbeat
from tests.support.replication.fake_nodes import OPTIONS, FakeData, Primary, Replica, running
from tests.support.replication.fake_store import FakeStore
from tests.support.waiting import let_tasks_run, until


def store_of(values: int, unsynced: int) -> FakeStore:
    """A store that has written more than it has synced."""
    store = FakeStore(auto_sync=False)
    for number in range(values):
        store.write(b"%d" % number)
    store.sync()
    for number in range(unsynced):
        store.write(b"later %d" % number)
    return store


async def test_a_replica_gets_what_is_written(tmp_path: Path) -> None:
    """As soon as the record of that is made, and without a sync."""
    primary = Primary(store_of(3, 2), tmp_path / "p")
    primary.ahead.may_be_allowed = True
    data = FakeData(FakeStore())
    replica = Replica(primary, data, tmp_path / "r")
    async with running(replica, primary):
        assert data.store is not None
        await until(lambda: data.store is not None and data.store.position == primary.store.position)
        assert primary.store.durable_sequence == 3
        primary.store.write(b"more")
        await until(lambda: data.store is not None and data.store.position.sequence == 6)
        assert primary.ahead.asked == 1
        (session,) = primary.node.sessions.values()
        assert session.sender is not None
        await until(lambda: session.sender is not None and session.sender.ack.durable == 6)
        assert session.echo.beat().position == primary.store.position
        assert primary.node.is_caught_up()
        assert replica.follower.link.primary_sequence == 6
        assert replica.follower.link.state == "streaming"


@pytest.mark.parametrize("wants", ["written", "durable"])
async def test_a_replica_gets_only_what_is_durable(
    tmp_path: Path, wants: Literal["written", "durable"]
) -> None:
    """Where the primary may not send more, and where the replica wants no more."""
    primary = Primary(store_of(3, 2), tmp_path / "p")
    primary.ahead.may_be_allowed = primary.ahead.is_allowed = wants == "durable"
    data = FakeData(FakeStore())
    options = replace(OPTIONS, ship=wants)
    replica = Replica(primary, data, tmp_path / "r", options=options)
    async with running(replica, primary):
        await until(lambda: data.store is not None and data.store.position == primary.store.durable_position)
        primary.store.notify()
        await let_tasks_run()
        assert data.store is not None and data.store.position.sequence == 3
        (session,) = primary.node.sessions.values()
        beat: Heartbeat = session.echo.beat()
        assert beat.position.sequence == 3
        primary.store.sync()
        await until(lambda: data.store is not None and data.store.position.sequence == 5)


async def test_a_replica_that_has_more_than_is_durable_follows(tmp_path: Path) -> None:
    """It got that from this primary; also one that wants only durable log from now on."""
    primary = Primary(store_of(3, 2), tmp_path / "p")
    primary.ahead.may_be_allowed = primary.ahead.is_allowed = True
    mine = FakeStore()
    mine.apply_frames(b"".join(frame.data for frame in primary.store.frames))
    data = FakeData(mine)
    replica = Replica(primary, data, tmp_path / "r", options=replace(OPTIONS, ship="durable"))
    async with running(replica, primary):
        await until(lambda: replica.follower.link.state == "streaming")
        primary.store.write(b"more")
        await let_tasks_run()
        assert mine.position.sequence == 5
        primary.store.sync()
        await until(lambda: mine.position.sequence == 6)


async def test_a_node_that_began_an_epoch_goes_on_to_send_what_is_written(tmp_path: Path) -> None:
    """Once it has recorded that: its tick sees to it."""
    primary = Primary(store_of(3, 2), tmp_path / "p")
    data = FakeData(FakeStore())
    replica = Replica(primary, data, tmp_path / "r")
    async with running(replica, primary):
        await until(lambda: data.store is not None and data.store.position.sequence == 3)
        primary.ahead.may_be_allowed = True
        await primary.node.tick()
        primary.store.notify()
        await until(lambda: data.store is not None and data.store.position.sequence == 5)
