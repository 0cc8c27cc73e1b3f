"""A replica's data while it is exchanged: whatever ends the link then, it is there afterwards."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

import replicad.daemon.data.node_data
from replicad.errors import RoleRefused
from replicad.net.addresses import address_of
from replicad.replication.wire.identify import VERSIONS
from replicad.replication.wire.introduction import exchange
from replicad.replication.wire.messages import Hello, Message, Refuse
from replicad.store.copies.checkpoint import install
from replicad.store.database import open_database
from tests.support.nodes.programs import holds, primary, replica_of, streams
from tests.support.waiting import until


class Gate:
    """Holds the exchange of the data, once it has begun, until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = asyncio.Event()
        self._go = threading.Event()
        loop = asyncio.get_running_loop()

        def gated(*arguments: Any) -> None:
            loop.call_soon_threadsafe(self.reached.set)
            assert self._go.wait(20)
            install(*arguments)

        monkeypatch.setattr(replicad.daemon.data.node_data, "install", gated)

    async def until_reached(self) -> None:
        async with asyncio.timeout(20):
            await self.reached.wait()

    def open(self) -> None:
        self._go.set()


async def test_an_exchange_that_has_begun_is_done_before_the_link_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever ends the link finds the data in place and served, and the next link goes on from there."""
    gate = Gate(monkeypatch)
    async with primary(tmp_path / "p") as p, replica_of(p, tmp_path / "r") as node:
        await gate.until_reached()
        ending = asyncio.ensure_future(node.link.stop())
        gate.open()
        await ending
        assert holds(node, b"p")
        assert node.clients.is_serving
        node.link.start()
        await until(lambda: streams(node, b"p"))


async def test_a_replica_is_not_overwritten_by_another_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Following a node of another database is refused at every moment, also while a copy is put in place."""
    async with (
        primary(tmp_path / "p") as p,
        primary(tmp_path / "q") as q,
        replica_of(p, tmp_path / "r") as node,
    ):
        await until(lambda: streams(node, b"p"))
        gate = Gate(monkeypatch)
        node.verification.order_repair("for a test")
        await gate.until_reached()
        assert node.store is None
        with pytest.raises(RoleRefused, match="another database"):
            await node.following.follow("127.0.0.1", q.clients.address.port)
        gate.open()
        await until(lambda: streams(node, b"p"))


async def test_the_first_copy_decides_also_when_it_was_asked_for_another_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that has no data yet may follow anybody; once it has some, it goes on where it was."""
    gate = Gate(monkeypatch)
    async with (
        primary(tmp_path / "p") as p,
        primary(tmp_path / "q") as q,
        replica_of(p, tmp_path / "r") as node,
    ):
        await gate.until_reached()
        asked = asyncio.ensure_future(node.following.follow("127.0.0.1", q.clients.address.port))
        await until(lambda: node.link.follower is not None and node.link.follower.link.state == "installing")
        gate.open()
        with pytest.raises(RoleRefused, match="another database"):
            await asked
        await until(lambda: streams(node, b"p"))


async def test_data_that_could_not_be_opened_is_opened_by_the_next_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that is closed after a failed exchange does not make the node fetch a copy."""
    async with primary(tmp_path / "p") as p, replica_of(p, tmp_path / "r") as node:
        await until(lambda: streams(node, b"p"))
        first = node.link.last_bootstrap
        await node.link.stop()
        refusals = 2

        def refusing(*arguments: Any, **options: Any) -> Any:
            nonlocal refusals
            refusals -= 1
            if refusals >= 0:
                raise OSError(24, "Too many open files")
            return open_database(*arguments, **options)

        monkeypatch.setattr(replicad.daemon.data.node_data, "open_database", refusing)
        with pytest.raises(OSError, match="Too many open files"):
            await node.link.install(tmp_path / "nothing")
        assert node.store is None
        node.link.start()
        await until(lambda: streams(node, b"p"))
        assert node.link.last_bootstrap is first


async def test_an_exchange_that_could_not_begin_leaves_clients_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients are served again when the exchange failed before the store was closed."""
    async with primary(tmp_path / "p") as p, replica_of(p, tmp_path / "r") as node:
        await until(lambda: streams(node, b"p"))
        await node.link.stop()

        async def say_loading() -> None:
            await node.clients.close()
            raise OSError(24, "Too many open files")

        monkeypatch.setattr(node.clients, "say_loading", say_loading)
        with pytest.raises(OSError, match="Too many open files"):
            await node.link.install(tmp_path / "nothing")
        assert holds(node, b"p")
        assert node.clients.is_serving


async def test_who_connects_while_sessions_end_is_not_served_from_a_store_that_closes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are connected are ended before the store is closed. A replica that comes then is told to
    come again, and never waits for a store that is gone."""
    async with primary(tmp_path / "p") as p, replica_of(p, tmp_path / "r") as node:
        await until(lambda: streams(node, b"p"))
        address = address_of(node.addresses.replication)
        assert address is not None
        end_sessions, answers = node.data.replicas.end_sessions, list[Message]()
        hello = Hello(VERSIONS, b"c" * 16, b"c" * 16, None, (), "a test")

        async def connected_meanwhile() -> None:
            await end_sessions()
            answers.append(await exchange(*address, hello, seconds=20))

        with monkeypatch.context() as patched:
            patched.setattr(node.data.replicas, "end_sessions", connected_meanwhile)
            node.verification.order_repair("for a test")
            await until(lambda: bool(answers) and streams(node, b"p"))
        assert isinstance(answers[0], Refuse)
        assert (answers[0].code, answers[0].retry) == ("no-data", True)
