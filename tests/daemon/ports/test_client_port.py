"""The client port while it closes, and what it says by itself."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from replicad.daemon.ports.client_port import ClientPort
from replicad.env import SystemClock
from replicad.net.addresses import Address
from replicad.server import ServerOptions
from replicad.server.server import RespServer
from replicad.store.database import Database
from tests.server.harness import FakeNode
from tests.support.stores.fake_database import FakeDatabase
from tests.support.waiting import until


@pytest.mark.parametrize("in_the_log", [True, False])
async def test_a_node_that_is_fenced_while_it_drains_acknowledges_nothing(in_the_log: bool) -> None:
    """A write that waits for the node's role when it is told to stop is answered as what it is."""
    store, node = FakeDatabase("sync"), FakeNode()
    port = ClientPort(Address("127.0.0.1", 0), lambda: node, ServerOptions(), SystemClock(), lambda: None)
    await port.serve(cast(Database, store))
    reader, writer = await asyncio.open_connection(*port.address)
    try:
        node.doubting = not in_the_log
        store.hold_sync()
        writer.write(b"SET k v\r\n")
        server = port._server
        assert isinstance(server, RespServer)
        await until(lambda: bool(server.state.committer.holding))
        if in_the_log:
            await until(lambda: store.appended_sequence == 1)
        node.doubting = True
        closing = asyncio.ensure_future(port.close())
        await until(lambda: port._server is None)
        node.doubting, node.role, node.is_writable = False, "replica", False
        port.role_changed()
        store.release_sync()
        answer = await reader.readline()
        assert answer.startswith(b"-UNCERTAIN " if in_the_log else b"-ERR the server is shutting down")
        await closing
    finally:
        writer.close()
        await port.close()
        store.close()


async def test_what_is_published_goes_to_the_clients_that_are_served() -> None:
    """While there is no data nobody is, and nothing is kept for later."""
    store, node = FakeDatabase("sync"), FakeNode()
    port = ClientPort(Address("127.0.0.1", 0), lambda: node, ServerOptions(), SystemClock(), lambda: None)
    port.publish(b"+switch-master", b"too early")
    await port.serve(cast(Database, store))
    reader, writer = await asyncio.open_connection(*port.address)
    try:
        writer.write(b"SUBSCRIBE +switch-master\r\n")
        assert (
            await reader.readuntil(b":1\r\n") == b"*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n"
        )
        port.publish(b"+switch-master", b"said")
        assert (
            await reader.readuntil(b"said\r\n")
            == b"*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n$4\r\nsaid\r\n"
        )
    finally:
        writer.close()
        await port.close()
        store.close()
