"""The client port of a replica that has no data yet."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tracemalloc
from unittest.mock import Mock

import pytest

from replicad.daemon.ports.loading import LIMITS, LoadingServer, _Client
from replicad.net.addresses import Address
from replicad.server import refusals
from replicad.server.access.login import Login
from replicad.server.access.roles import Role
from replicad.server.access.secrets import token_sha256
from replicad.server.access.users import UserOptions, Users
from tests.support.waiting import until

STATUS = {"role": "replica", "position": None}


async def talk(data: bytes) -> bytes:
    """Sends bytes, and the end; returns what comes back."""
    server = LoadingServer(lambda: STATUS)
    address = await server.start(Address("127.0.0.1", 0))
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(data)
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()
        await server.close()


def command(*parts: bytes) -> bytes:
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


async def test_reads_are_refused_and_the_status_is_told() -> None:
    """GET is LOADING, not an absent key; the status document is there."""
    got = await talk(command(b"GET", b"k") + command(b"replicad.status") + command(b"QUIT"))
    refusal, size, document, goodbye, _ = got.split(b"\r\n")
    assert refusal.startswith(b"-LOADING ")
    assert size == b"$%d" % len(document)
    assert json.loads(document) == STATUS
    assert goodbye == b"+OK"


async def test_garbage_ends_the_connection() -> None:
    """What is no request is an error and the end, as for every other server."""
    assert await talk(b"*1\r\n:5\r\n") == b"-ERR Protocol error: expected '$', got ':'\r\n"
    assert await talk(b"*1\r\n$999999999\r\n") == b"-ERR Protocol error: invalid bulk length\r\n"
    assert (await talk(b">200000000\r\nQUIT\r\n")).endswith(b"+OK\r\n")


def test_no_header_makes_room_for_what_it_declares() -> None:
    """Whatever the type, what a client announces takes no memory."""
    tracemalloc.start()
    client = _Client(LoadingServer(lambda: STATUS))
    client.connection_made(
        Mock(get_extra_info=lambda _: None, is_closing=lambda: False, get_write_buffer_size=lambda: 0)
    )
    for kind in range(256):
        client.data_received(b"%c50000000\r\n" % kind)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


async def test_connections_end_when_the_users_are_others() -> None:
    """Who goes on has to log in again."""
    server = LoadingServer(lambda: STATUS)
    reader, writer = await asyncio.open_connection(*await server.start(Address("127.0.0.1", 0)))
    writer.write(command(b"GET", b"k"))
    assert (await reader.readline()).startswith(b"-LOADING ")
    server.users_changed()
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()
    await server.close()


async def test_who_does_not_log_in_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reaches the port would take all descriptors otherwise, and the copy that comes would fail."""
    monkeypatch.setattr("replicad.daemon.ports.loading.LOGIN_SECONDS_MAX", 0.2)
    token = token_sha256("a token of the app")
    users = Users({"app": UserOptions(roles=(Role.MONITOR,), token_sha256=token)})
    server = LoadingServer(lambda: STATUS, Login(users))
    address = await server.start(Address("127.0.0.1", 0))
    known, unknown = [await asyncio.open_connection(*address) for _ in range(2)]
    known[1].write(command(b"AUTH", b"app", b"a token of the app"))
    assert await known[0].readline() == b"+OK\r\n"
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionError):
            assert await unknown[0].read() == b""
    known[1].write(command(b"GET", b"k"))
    assert (await known[0].readline()).startswith(b"-LOADING ")
    for _, writer in (known, unknown):
        writer.close()
    await server.close()


async def test_no_more_than_so_many_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replicad.daemon.ports.loading.CLIENTS_MAX", 2)
    server = LoadingServer(lambda: STATUS)
    address = await server.start(Address("127.0.0.1", 0))
    first = [await asyncio.open_connection(*address) for _ in range(2)]
    await until(lambda: len(server.clients) == 2)
    reader, late = await asyncio.open_connection(*address)
    async with asyncio.timeout(5):
        assert await reader.read() == refusals.TOO_MANY_CLIENTS
    first[0][1].close()
    await until(lambda: len(server.clients) == 1)
    for writer in (late, first[1][1]):
        writer.close()
    await server.close()


async def test_a_client_that_does_not_read_is_closed() -> None:
    """Answers that nobody takes do not pile up."""
    transport = Mock(
        get_extra_info=lambda _: None,
        is_closing=lambda: False,
        get_write_buffer_size=lambda: LIMITS.output_bytes_max + 1,
    )
    client = _Client(LoadingServer(lambda: STATUS))
    client.connection_made(transport)
    client.data_received(command(b"REPLICAD.STATUS") * 10)
    assert transport.write.call_count == 1
    transport.abort.assert_called_once()
