"""A primary that is fenced, and what it remembers of that."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

import replicad.daemon.roles.stepping_down
from replicad.daemon.program import NodeProgram
from replicad.daemon.roles.node_link import NodeLink
from replicad.daemon.roles.promotion import STEP
from replicad.errors import ConfigError, StoreError
from replicad.replication.policy.roles import Standing
from tests.support.nodes.programs import again, primary, replica_of, streams
from tests.support.nodes.role_changes import failing_once
from tests.support.waiting import until


async def test_a_fenced_primary_whose_record_cannot_be_written_steps_down_when_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the state and then the store fail once: the node does not stay an owner that is not a
    primary."""
    monkeypatch.setattr(replicad.daemon.roles.stepping_down, "RETRY_SECONDS", 0)
    async with primary(tmp_path / "a") as a, replica_of(a, tmp_path / "b") as b:
        await until(lambda: streams(b, b"a"))
        store = a.store
        assert store is not None
        put_role = a.records.put_role
        monkeypatch.setattr(a.records, "put_role", failing_once(put_role, StoreError("MDB_READERS_FULL")))
        monkeypatch.setattr(store, "demote", failing_once(store.demote, OSError("too many open files")))
        await b.promotion.promote(force=True)
        a.survey.heard(b.survey.introduce())
        await until(lambda: store.role == "replica" and streams(a, b"a") and a.open_store.epoch > STEP)
        assert a.memory.record is not None and a.memory.record.role == "replica"


async def test_a_fenced_node_whose_data_was_removed_asks_for_a_primary(tmp_path: Path) -> None:
    """It never heard who fenced it: it says what its operator can do, and leaves everything as it is."""
    data = tmp_path / "a"
    async with primary(data) as node:
        node.fencing.fence(7)
        store = node.store
        assert store is not None
        await until(lambda: store.role == "replica")
    for path in data.iterdir():
        if path.name != "state":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    before = sorted(data.iterdir())
    with pytest.raises(ConfigError, match="--primary"):
        async with again(data):
            pass
    assert sorted(data.iterdir()) == before
    async with primary(tmp_path / "p") as p, replica_of(p, data) as back:
        await until(lambda: streams(back, b"p"))


async def test_what_a_node_hears_while_it_starts_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A primary that comes back is fenced before it has written down as what it starts: it follows, over one
    link, and remembers that."""
    before = primary(tmp_path / "a")
    a = await before.__aenter__()
    async with replica_of(a, tmp_path / "b") as b:
        await until(lambda: streams(b, b"a"))
        await before.__aexit__(None, None, None)
        await b.promotion.promote(force=True)
        there = b.addresses.replication, str(b.clients.address)
        listen, start = NodeProgram._listen_for_replicas, NodeLink.start
        links: list[NodeLink] = []

        async def fenced_meanwhile(program: NodeProgram) -> Any:
            program.parts.fencing.fence(2, there)
            for _ in range(20):
                await asyncio.sleep(0)
            return await listen(program)

        def counted(link: NodeLink) -> None:
            links.append(link)
            start(link)

        monkeypatch.setattr(NodeProgram, "_listen_for_replicas", fenced_meanwhile)
        monkeypatch.setattr(NodeLink, "start", counted)
        async with again(tmp_path / "a") as back:
            await until(lambda: streams(back, b"a"))
            assert back.standing.current is Standing.FOLLOWING
            record = back.memory.record
            assert record is not None and (record.role, record.primary) == ("replica", there[0])
            assert len(links) == 1
