"""When log is sent before it is durable, and what is recorded of that."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from replicad.daemon.open_store import OpenStore
from replicad.daemon.own_standing import OwnStanding
from replicad.daemon.roles.sent_ahead import SentAheadRecord
from replicad.errors import DiskFullError
from replicad.replication.policy.roles import Standing
from replicad.replication.wire.connection import dial
from replicad.replication.wire.messages import Hello, Refuse
from replicad.state import RoleRecord
from tests.support.nodes.programs import again, primary, replica_of, streams
from tests.support.waiting import until


class Memory:
    def __init__(self) -> None:
        self.record: RoleRecord | None = None
        self.refuses = False

    async def save(self, epoch: int, **changes: Any) -> None:
        if self.refuses:
            raise DiskFullError("no room")
        self.record = RoleRecord(role="primary", epoch=epoch, **changes)


class Node:
    def __init__(self, standing: Standing, role: str, *, durability: str = "async", epoch: int = 3) -> None:
        self.memory, self.standing, store = Memory(), OwnStanding(), OpenStore()
        self.standing.begin_as(standing)
        at = SimpleNamespace(epoch=epoch)
        self.database = SimpleNamespace(role=role, durable_position=at)
        store.database = cast(Any, self.database)
        self.ahead = SentAheadRecord(
            durability, "this boot", standing=self.standing, store=store, memory=cast(Any, self.memory)
        )


async def test_a_primary_records_the_epoch_first() -> None:
    """And does not send such log in the next epoch before it has recorded that one."""
    node = Node(Standing.PRIMARY, "owner")
    assert not node.ahead.is_allowed
    await node.ahead.allow()
    assert node.ahead.is_allowed
    assert node.memory.record is not None
    assert (node.memory.record.ahead_epoch, node.memory.record.ahead_boot) == (3, "this boot")
    node.database.durable_position = SimpleNamespace(epoch=4)
    assert not node.ahead.is_allowed
    node.database.role = "replica"
    await node.ahead.forget(cast(Any, node.database))
    assert node.memory.record.ahead_boot == "this boot"
    node.database.role = "owner"
    await node.ahead.forget(cast(Any, node.database))
    assert node.memory.record.ahead_boot is None


async def test_a_record_that_cannot_be_written_allows_nothing() -> None:
    """The session goes on with durable log."""
    node = Node(Standing.PRIMARY, "owner")
    node.memory.refuses = True
    await node.ahead.allow()
    assert not node.ahead.is_allowed


@pytest.mark.parametrize(
    ("standing", "role", "durability", "allowed"),
    [
        (Standing.FOLLOWING, "replica", "async", True),
        (Standing.FENCED, "replica", "async", True),
        (Standing.FOLLOWING, "replica", "sync", False),
        (Standing.PRIMARY, "owner", "sync", False),
        # The first frame of an epoch is durable before anybody gets it.
        (Standing.PROMOTING, "replica", "async", False),
        # It was a primary until now, and its store still is one.
        (Standing.FENCED, "owner", "async", False),
    ],
)
async def test_without_a_record(standing: Standing, role: str, durability: str, allowed: bool) -> None:
    """A replica passes on what it has, for the numbers are its primary's."""
    node = Node(standing, role, durability=durability)
    assert node.ahead.is_allowed is allowed
    await node.ahead.allow()
    if standing is not Standing.PRIMARY:
        assert node.memory.record is None


async def test_nobody_follows_a_primary_that_looks_for_its_tail(tmp_path: Path) -> None:
    """A replica that is further would take it for another history."""
    async with primary(tmp_path / "p") as node:
        node.lost_tail.is_sought = True
        host, _, port = node.addresses.replication.rpartition(":")
        connection = await dial(host, int(port))
        connection.send(Hello((1,), b"x" * 16, b"y" * 16, None, (), "x"))
        refused = await connection.receive()
        connection.close()
        node.lost_tail.is_sought = False
        assert isinstance(refused, Refuse)
        assert (refused.code, refused.retry) == ("recovering", True)


async def test_a_fence_ends_the_search(tmp_path: Path) -> None:
    """From then on the node is a replica, which may feed others."""
    async with primary(tmp_path / "p") as node:
        node.standing.doubt()
        node.lost_tail.is_sought = True
        node.fencing.fence(2)
        assert not node.lost_tail.is_sought
        await until(lambda: node.memory.fenced_by == 2 and not node.lock.is_taken)


async def test_a_clean_stop_leaves_no_record(tmp_path: Path) -> None:
    """All is durable then."""
    async with (
        primary(tmp_path / "p", store__durability="async") as node,
        replica_of(node, tmp_path / "r") as replica,
    ):
        await until(lambda: streams(replica, b"p") and node.ahead.is_allowed)
    async with again(tmp_path / "p") as node:
        assert node.memory.record is not None
        assert node.memory.record.ahead_epoch is None
