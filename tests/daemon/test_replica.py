"""The replica's data under a bootstrap: swapped whole, or kept."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import replicad.daemon.data.node_data
from replicad.daemon.config import load_replica
from replicad.daemon.parts import NodeParts
from replicad.daemon.process.supervise import StopRequest
from replicad.daemon.program import NodeProgram
from replicad.daemon.records import node_state
from replicad.env import Env
from replicad.store.database import open_database


def copy_of(path: Path, value: bytes, target: Path) -> Path:
    """What a bootstrap leaves staged: the tables and manifest of a primary that has `value`."""
    with open_database(path) as database:
        database.put(b"k", value)
        database.create_base_copy(target)
    return target


@contextlib.asynccontextmanager
async def replica(data: Path) -> AsyncIterator[NodeParts]:
    """A replica that serves but follows nobody."""
    config = load_replica(None, data=data, listen=":0", primary=":1")
    async with node_state(Env(), data) as records:
        program = NodeProgram(config, Env(), records, StopRequest())
        try:
            await program.start()
            await program.parts.link.stop()
            yield program.parts
        finally:
            await program.close()


async def ask(node: NodeParts, *parts: bytes) -> bytes:
    """The first line or bulk of the reply to a command on the node's client port."""
    reader, writer = await asyncio.open_connection(*node.clients.address)
    writer.write(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
    try:
        async with asyncio.timeout(5):
            line = await reader.readline()
            return (await reader.readline() if line.startswith(b"$") else line).strip()
    finally:
        writer.close()


async def test_an_installed_copy_is_served_on_the_same_port(tmp_path: Path) -> None:
    """LOADING first; after the install the copy's data, at the copy's position, with the copy's identity."""
    staging = copy_of(tmp_path / "p", b"one", tmp_path / "staged")
    async with replica(tmp_path / "r") as node:
        port = node.clients.address.port
        assert (await ask(node, b"GET", b"k")).startswith(b"-LOADING")
        await node.link.install(staging)
        assert node.clients.address.port == port
        assert await ask(node, b"GET", b"k") == b"one"
        assert node.store is not None
        assert node.store.durable_sequence == 1
        assert not staging.exists()


async def test_a_second_copy_replaces_the_first(tmp_path: Path) -> None:
    """A re-bootstrap serves the new data; the old tables are gone."""
    async with replica(tmp_path / "r") as node:
        await node.link.install(copy_of(tmp_path / "p", b"one", tmp_path / "first"))
        await node.link.install(copy_of(tmp_path / "p", b"two", tmp_path / "second"))
        assert await ask(node, b"GET", b"k") == b"two"


async def test_an_install_that_fails_leaves_the_old_data_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the swap cannot be made the replica goes on with what it has."""
    async with replica(tmp_path / "r") as node:
        await node.link.install(copy_of(tmp_path / "p", b"one", tmp_path / "first"))

        def full(env: Env, staging: Path, directory: Path, wal_dir: Path | None) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(replicad.daemon.data.node_data, "install", full)
        with pytest.raises(OSError, match="No space"):
            await node.link.install(tmp_path / "second")
        assert node.store is not None
        assert await ask(node, b"GET", b"k") == b"one"


async def test_local_files_are_named_by_their_digest(tmp_path: Path) -> None:
    """The tables of the present data can be linked into a new copy."""
    async with replica(tmp_path / "r") as node:
        assert node.link.local_files() == {}
        await node.link.install(copy_of(tmp_path / "p", b"one", tmp_path / "first"))
        (path,) = node.link.local_files().values()
        assert path.parent == tmp_path / "r"
        assert path.suffix == ".sst"


async def test_without_data_no_write_counts_as_held_by_replicas(tmp_path: Path) -> None:
    """While a node's data is exchanged, a write that waits for replicas is not answered as if none were asked
    for."""
    config = load_replica(None, data=tmp_path / "data", listen=":0", primary=":1", link__synchronous="any 1")
    async with node_state(Env(), config.data) as records:
        node = NodeParts(config, Env(), records, StopRequest())
        assert node.served.waits.released(5) == 0
