"""What a node does by itself about once a second."""

from __future__ import annotations

import asyncio
import errno
import socket
from pathlib import Path

import pytest

import replicad.daemon.parts
import replicad.daemon.program
from replicad.daemon.config import load_primary
from replicad.daemon.data.node_data import NodeData
from replicad.errors import DiskFullError, PoisonedError
from replicad.store.core import Role
from replicad.store.database import Database
from tests.support.nodes.programs import primary, primary_program, started
from tests.support.waiting import until


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "Too many open files"), DiskFullError("no room")])
async def test_what_fails_once_a_second_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Neither does it end the node, nor keep it from what else is to be done."""
    monkeypatch.setattr(replicad.daemon.program, "TICK_SECONDS", 0)
    async with primary_program(tmp_path / "p") as program:
        node = program.parts
        tried, noted = [], []

        async def failing() -> None:
            tried.append(True)
            raise error

        async def note_progress() -> None:
            noted.append(True)

        with monkeypatch.context() as patched:
            patched.setattr(node.open_store.feed, "tick", failing)
            patched.setattr(node.link, "note_progress", note_progress)
            ticking = asyncio.ensure_future(program.tick())
            await until(lambda: ticking.done() or (len(tried) > 1 and len(noted) > 1))
            assert ticking.cancel()


async def test_a_store_that_stopped_ends_what_is_done_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicad.daemon.program, "TICK_SECONDS", 0)
    async with primary_program(tmp_path / "p") as program:

        async def failing() -> None:
            raise PoisonedError("a sync failed")

        monkeypatch.setattr(program.parts.open_store.feed, "tick", failing)
        with pytest.raises(PoisonedError):
            async with asyncio.timeout(20):
                await program.tick()


@pytest.mark.parametrize("taken", ["listen", "replication", "http"])
async def test_a_node_that_lacks_a_port_serves_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: str
) -> None:
    """It ends before its data is opened, and before it is called ready: no write was taken that a node which
    never ran acknowledged."""
    told: list[str] = []
    for module in (replicad.daemon.program, replicad.daemon.parts):
        monkeypatch.setattr(module, "notify", lambda *texts: told.extend(texts))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        flags = {"listen": ":0", "replication": ":0", "http": ":0"} | {
            taken: f"127.0.0.1:{other.getsockname()[1]}"
        }
        with pytest.raises(OSError, match="another process listens there"):
            async with started(load_primary(None, data=tmp_path / "p", **flags)):
                pass
    assert not any("READY" in text for text in told)
    assert not (tmp_path / "p" / "CURRENT").exists()


async def test_nobody_is_let_in_before_the_data_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the ports are taken. Replicas are let in before clients, so a client that can connect finds a
    node that replicas can reach."""
    opened, seen = NodeData.open, []

    async def looking(data: NodeData, role: Role) -> Database:
        for port in (data.replicas.address.port, data.clients.address.port):
            assert port
            with socket.socket() as asker:
                seen.append(asker.connect_ex(("127.0.0.1", port)))
        return await opened(data, role)

    monkeypatch.setattr(NodeData, "open", looking)
    async with primary(tmp_path / "p") as node:
        assert seen == [errno.ECONNREFUSED] * 2
        host, _, port = node.addresses.replication.rpartition(":")
        socket.create_connection((host, int(port)), 20).close()
