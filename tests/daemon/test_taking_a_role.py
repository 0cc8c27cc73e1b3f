"""A node that is started to be another than it was: by the rules of every change of role, and once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from replicad.daemon.config import load_primary, load_replica
from replicad.daemon.parts import NodeParts
from replicad.daemon.roles.promotion import STEP
from replicad.errors import ConfigError, RoleRefused
from replicad.replication.policy.roles import Standing
from tests.support.nodes.programs import primary, replica_of, started, streams
from tests.support.waiting import until


def as_primary(data: Path, **flags: Any) -> AbstractAsyncContextManager[NodeParts]:
    return started(load_primary(None, data=data, listen=":0", replication=":0", **flags))


@asynccontextmanager
async def stopped_replica(directory: Path) -> AsyncIterator[tuple[NodeParts, AsyncExitStack]]:
    """A primary that goes on writing, its life, and the data of a replica of it that is down, at "r"."""
    async with AsyncExitStack() as life:
        p = await life.enter_async_context(primary(directory / "p"))
        async with replica_of(p, directory / "r") as node:
            await until(lambda: streams(node, b"p"))
            await node.link.note_progress()
        assert p.store is not None
        p.store.put(b"more", b"than the replica has")
        yield p, life


async def test_a_role_is_not_taken_from_a_primary_that_lives(tmp_path: Path) -> None:
    """The node ends with the reason; nobody is fenced, and nothing is lost."""
    async with stopped_replica(tmp_path) as (p, _):
        with pytest.raises(RoleRefused, match="--take-role: its primary answers"):
            async with as_primary(tmp_path / "r", take_role_now=True):
                pass
        assert p.standing.current is Standing.PRIMARY
        async with replica_of(p, tmp_path / "r") as node:
            await until(lambda: streams(node, b"p"))
            assert node.open_store.epoch == 1


async def test_a_role_is_taken_when_the_primary_is_dead(tmp_path: Path) -> None:
    """As by promote: a new epoch begins. A flag says it of that start."""
    async with stopped_replica(tmp_path) as (_, life):
        await life.aclose()
        async with as_primary(tmp_path / "r", take_role_now=True) as node:
            assert node.standing.current is Standing.PRIMARY and node.open_store.epoch > STEP


async def test_a_key_in_the_configuration_is_tried_once(tmp_path: Path) -> None:
    """It is refused, and the node starts as what it was; when it would not be refused any more it does not
    count. It counts again after a start without it."""
    async with stopped_replica(tmp_path) as (_, life):
        async with as_primary(tmp_path / "r", take_role=True) as node:
            assert node.standing.current is Standing.FOLLOWING
        await life.aclose()
        for take_role in (True, False):
            async with as_primary(tmp_path / "r", take_role=take_role) as node:
                assert node.standing.current is Standing.FOLLOWING
        async with as_primary(tmp_path / "r", take_role=True) as node:
            assert node.standing.current is Standing.PRIMARY


async def test_a_primary_does_not_follow_a_node_that_is_not_above_it(tmp_path: Path) -> None:
    async with primary(tmp_path / "p") as p:
        async with primary(tmp_path / "q"):
            pass
        flags: dict[str, Any] = {"listen": ":0", "primary": p.addresses.replication}
        with pytest.raises(RoleRefused, match="--take-role: this node is the primary of epoch 1"):
            async with started(load_replica(None, data=tmp_path / "q", take_role_now=True, **flags)):
                pass
        async with as_primary(tmp_path / "q") as q:
            assert q.standing.current is Standing.PRIMARY


def test_a_flag_is_no_key(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text(f'data = "{tmp_path}"\ntake_role_now = true\n')
    with pytest.raises(ConfigError, match="take_role_now is not a key"):
        load_primary(file)
