"""Users, passwords and tokens: at a real etcd, and at one that refuses in every way."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from aiohttp import web

from replicad.errors import EtcdError
from replicad.etcd.calls import IsAbsent, Put, Read
from tests.support.etcd.fake_gateway import (
    OK,
    TOKEN,
    FakeEndpoint,
    answering,
    fake,
    healthy,
    refusing,
)
from tests.support.etcd.gateways import MakeGateway
from tests.support.etcd.servers import EtcdServer, needs_etcd
from tests.support.etcd.users import USER, add_users, change_password, enable_logins

PASSWORD = "correct horse"
PREFIX = b"failover/"
KEY = PREFIX + b"leader"


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    return write(tmp_path / "password", PASSWORD)


def write(file: Path, password: str) -> Path:
    file.touch(0o600)
    file.write_text(password + "\n")
    return file


# A real etcd.


@needs_etcd
async def test_a_user_logs_in_and_calls_go_on_when_its_token_is_gone(
    server: EtcdServer, gateway_to: MakeGateway, password_file: Path
) -> None:
    """3.4 forgets its tokens when it restarts. Each call finds that out by itself, a claim, too."""
    await asyncio.to_thread(add_users, server, PASSWORD, PREFIX)
    await asyncio.to_thread(enable_logins, server)
    etcd = gateway_to(server.endpoint, user=USER, password_file=password_file)
    lease = await etcd.grant(60)
    assert (await etcd.txn([IsAbsent(KEY)], [Put(KEY, b"me", lease.id)])).succeeded

    await asyncio.to_thread(server.restart)
    assert not (await etcd.txn([IsAbsent(KEY)], [Put(KEY, b"me")])).succeeded
    await asyncio.to_thread(server.restart)
    assert [pair.value for pair in await etcd.range(PREFIX)] == [b"me"]
    await asyncio.to_thread(server.restart)
    assert (await etcd.keep_alive(lease.id)).ttl_seconds == lease.ttl_seconds
    await etcd.revoke(lease.id)
    assert await etcd.range(PREFIX) == ()


@needs_etcd
async def test_a_role_for_the_keys_is_enough_for_a_node_that_only_looks(
    server: EtcdServer, gateway_to: MakeGateway, password_file: Path
) -> None:
    """It keeps its lease alive, which reads a key, though it never compares one."""
    await asyncio.to_thread(add_users, server, PASSWORD, PREFIX)
    await asyncio.to_thread(enable_logins, server)
    etcd = gateway_to(server.endpoint, user=USER, password_file=password_file)
    lease = await etcd.grant(60)
    assert (await etcd.txn([], [Put(KEY, b"me", lease.id), Read(PREFIX)])).succeeded
    assert (await etcd.keep_alive(lease.id)).ttl_seconds == lease.ttl_seconds


@needs_etcd
async def test_a_node_that_was_refused_at_first_keeps_its_lease_once_it_may(
    server: EtcdServer, gateway_to: MakeGateway, password_file: Path
) -> None:
    """etcd grants a lease to anybody, and refuses the rest: the node has never read a key then."""
    await asyncio.to_thread(add_users, server, PASSWORD, PREFIX)
    await asyncio.to_thread(enable_logins, server)
    write(password_file, "guess")
    etcd = gateway_to(server.endpoint, user=USER, password_file=password_file)
    lease = await etcd.grant(60)
    with pytest.raises(EtcdError, match="is wrong"):
        await etcd.txn([], [Put(KEY, b"me", lease.id), Read(PREFIX)])
    with pytest.raises(EtcdError, match="is wrong"):
        await etcd.keep_alive(lease.id)
    write(password_file, PASSWORD)
    assert (await etcd.keep_alive(lease.id)).ttl_seconds == lease.ttl_seconds


@needs_etcd
async def test_a_node_logs_in_anew_at_an_etcd_that_lost_its_data(
    server: EtcdServer, gateway_to: MakeGateway, password_file: Path
) -> None:
    """It has the same users again, and waits for the index of the former one that the token names."""
    await asyncio.to_thread(add_users, server, PASSWORD, PREFIX)
    for _ in range(30):
        await gateway_to(server.endpoint).grant(60)
    await asyncio.to_thread(enable_logins, server)
    etcd = gateway_to(server.endpoint, user=USER, password_file=password_file)
    assert await etcd.range(PREFIX) == ()
    server.kill()
    shutil.rmtree(server.data)
    await asyncio.to_thread(server.start)
    await asyncio.to_thread(add_users, server, PASSWORD, PREFIX)
    await asyncio.to_thread(enable_logins, server)
    with pytest.raises(EtcdError, match="no answer within"):
        await etcd.range(PREFIX)
    assert await etcd.range(PREFIX) == ()


@needs_etcd
async def test_logins_may_be_enabled_and_passwords_changed_while_a_node_runs(
    server: EtcdServer, gateway_to: MakeGateway, password_file: Path
) -> None:
    """A user that is configured before etcd asks for it does no harm; the file is read at each login."""
    await asyncio.to_thread(add_users, server, PASSWORD, PREFIX)
    etcd = gateway_to(server.endpoint, user=USER, password_file=password_file)
    assert (await etcd.txn([IsAbsent(KEY)], [Put(KEY, b"1")])).succeeded
    with pytest.raises(EtcdError, match="etcd has no logins"):
        await etcd.authenticate()

    await asyncio.to_thread(enable_logins, server)
    assert not (await etcd.txn([IsAbsent(KEY)], [Put(KEY, b"2")])).succeeded

    await asyncio.to_thread(change_password, server, "another one")
    with pytest.raises(EtcdError, match=r"the password in .* is wrong"):
        await etcd.range(PREFIX)
    write(password_file, "another one")
    assert [pair.value for pair in await etcd.range(PREFIX)] == [b"1"]


@needs_etcd
async def test_who_may_not_is_told_so(
    server: EtcdServer, gateway_to: MakeGateway, password_file: Path, tmp_path: Path
) -> None:
    """A wrong password, no user at all, and keys that are another's."""
    await asyncio.to_thread(add_users, server, PASSWORD, PREFIX)
    await asyncio.to_thread(enable_logins, server)
    wrong = write(tmp_path / "wrong", "guess")
    with pytest.raises(EtcdError) as error:
        await gateway_to(server.endpoint, user=USER, password_file=wrong).authenticate()
    assert str(error.value) == (f"{server.endpoint}: the user '{USER}' or the password in {wrong} is wrong")
    with pytest.raises(EtcdError, match="it wants a login: set user and password_file"):
        await gateway_to(server.endpoint).range(PREFIX)
    etcd = gateway_to(server.endpoint, user=USER, password_file=password_file)
    await etcd.authenticate()
    for call in (etcd.range(b"other/"), etcd.txn([IsAbsent(b"other/")], [Put(b"other/", b"")])):
        with pytest.raises(EtcdError, match="permission denied: give the user a role"):
            await call


# One that refuses.


def wanting(token: str, code: int, message: str) -> FakeEndpoint:
    """Refuses all calls without that token so, and gives it to who logs in."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/v3/auth/authenticate":
            return await answering({**OK[request.path], "token": token})(request)
        if request.headers.get("Authorization") == token:
            return await healthy(request)
        return await refusing(code, message)(request)

    return FakeEndpoint(answer)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (16, "etcdserver: invalid auth token"),
        (2, "etcdserver: invalid auth token"),
        (3, "etcdserver: user name is empty"),
        (3, "etcdserver: revision of auth store is old"),
        (2, "auth: revision in header is old"),
    ],
)
async def test_a_token_that_is_refused_is_renewed_once(
    gateway_to: MakeGateway, password_file: Path, code: int, message: str
) -> None:
    """And the call repeated, a claim, too: what was refused was not executed."""
    made = wanting("new.1", code, message)
    await made.start()
    try:
        etcd = gateway_to(made.address, user=USER, password_file=password_file)
        assert (await etcd.txn([IsAbsent(KEY)], [Put(KEY, b"")])).succeeded
        assert made.asked == ["/v3/kv/txn", "/v3/auth/authenticate", "/v3/kv/txn"]
        assert made.tokens == [None, None, "new.1"]
        await etcd.range(b"")
        assert made.asked[3:] == ["/v3/kv/range"]
    finally:
        await made.close()


async def test_a_stream_that_refuses_the_token_is_asked_again(
    gateway_to: MakeGateway, password_file: Path
) -> None:
    """It says so within its answer, with a status of 200."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") == TOKEN or request.path == "/v3/auth/authenticate":
            return await healthy(request)
        error = {"grpc_code": 16, "http_code": 401, "message": "etcdserver: invalid auth token"}
        return await answering({"error": error})(request)

    async with fake(answer) as made:
        etcd = gateway_to(made.address, user=USER, password_file=password_file)
        assert (await etcd.keep_alive(4390625006105581577)).ttl_seconds == 5


async def test_a_token_that_is_refused_again_is_an_error(
    gateway_to: MakeGateway, password_file: Path
) -> None:
    """There is one login for each call, and no more."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/v3/auth/authenticate":
            return await healthy(request)
        said = f"etcdserver: invalid auth token {request.headers.get('Authorization')}"
        return await refusing(16, said, 401)(request)

    async with fake(answer) as made:
        etcd = gateway_to(made.address, user=USER, password_file=password_file)
        with pytest.raises(EtcdError, match="invalid auth token") as error:
            await etcd.range(b"")
        assert made.asked == ["/v3/kv/range", "/v3/auth/authenticate", "/v3/kv/range"]
        assert TOKEN not in str(error.value)


@pytest.mark.parametrize("code", [3, 7, 14, 16])
async def test_the_password_is_in_no_error(gateway_to: MakeGateway, password_file: Path, code: int) -> None:
    """Even where the other side repeats what it was sent."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return await refusing(code, (await request.read()).decode())(request)

    async with fake(answer) as made:
        etcd = gateway_to(made.address, user=USER, password_file=password_file)
        with pytest.raises(EtcdError, match="http://") as error:
            await etcd.authenticate()
        assert PASSWORD not in str(error.value)
        assert error.value.__cause__ is None


async def test_a_password_that_others_can_read_is_not_used(
    gateway_to: MakeGateway, password_file: Path
) -> None:
    """The error says what to do; nothing is sent."""
    password_file.chmod(0o644)
    async with fake(healthy) as made:
        etcd = gateway_to(made.address, user=USER, password_file=password_file)
        with pytest.raises(EtcdError, match="chmod 600"):
            await etcd.authenticate()
        assert made.asked == []


async def test_without_a_user_nobody_logs_in(gateway_to: MakeGateway) -> None:
    """`authenticate` does nothing then."""
    async with fake(healthy) as made:
        await gateway_to(made.address).authenticate()
        assert made.asked == []
