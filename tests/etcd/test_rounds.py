"""Endpoints that fail in every way: what is asked next, and what may not be asked twice."""

from __future__ import annotations

import asyncio
import json
import socket
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import web

from replicad.cli.demonstration.ports import free_ports
from replicad.errors import EtcdError
from replicad.etcd.calls import Compare, Delete, Etcd, IsAbsent, Operation, Put, Read
from tests.support.etcd.fake_gateway import (
    HEADER,
    HOST,
    LEASE,
    OK,
    Behaviour,
    FakeEndpoint,
    answering,
    closing,
    closing_midway,
    fake,
    healthy,
    refusing,
    saying,
    silent,
    without_end,
)
from tests.support.etcd.gateways import MakeGateway, make_gateway
from tests.support.manual_clock import ManualClock
from tests.support.waiting import until

Start = Callable[[Behaviour], Awaitable[FakeEndpoint]]
KEEP_ALIVE = "/v3/lease/keepalive"
SHORT = 1.0
"""Seconds for a request that nobody answers; others have to be answered in them, on a busy machine, too."""


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:
        yield lambda behaviour: stack.enter_async_context(fake(behaviour))


@pytest.fixture
async def sick(start: Start) -> FakeEndpoint:
    """Accepts connections, reads requests, and never answers."""
    made: FakeEndpoint = await start(silent(lambda: made))
    return made


def keeping_alive(behaviour: Behaviour, otherwise: Behaviour = healthy) -> Behaviour:
    """What it does when a lease is to be kept alive, and when something else is asked."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return await (behaviour if request.path == KEEP_ALIVE else otherwise)(request)

    return answer


async def claim(etcd: Etcd) -> bool:
    return (await etcd.txn([IsAbsent(b"leader")], [Put(b"leader", b"me")])).succeeded


CALLS: dict[str, Callable[[Etcd], Awaitable[object]]] = {
    "range": lambda etcd: etcd.range(b"a"),
    "grant": lambda etcd: etcd.grant(5),
    "keep_alive": lambda etcd: etcd.keep_alive(int(LEASE)),
    "revoke": lambda etcd: etcd.revoke(int(LEASE)),
}
each_repeatable = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@each_repeatable
async def test_the_next_endpoint_is_asked_when_one_does_not_answer(
    sick: FakeEndpoint, start: Start, gateway_to: MakeGateway, call: Callable[[Etcd], Awaitable[object]]
) -> None:
    """In the same call. Afterwards the one that answered is asked first."""
    good = await start(healthy)
    etcd = gateway_to(sick.address, good.address, request_seconds=SHORT)
    await call(etcd)
    assert sick.asked == good.asked[:1]
    await call(etcd)
    assert sick.asked * 2 == [path for path in good.asked if path in sick.asked]


async def test_an_endpoint_that_failed_is_asked_last(sick: FakeEndpoint, start: Start) -> None:
    """Behind those that nobody asked yet; it is asked again when all others fail."""
    second, third = await start(closing), await start(healthy)
    etcd = make_gateway(sick.address, second.address, third.address, request_seconds=SHORT)
    await etcd.range(b"")
    third.behaviour = second.behaviour = closing
    sick.behaviour = healthy
    await etcd.range(b"")
    assert [len(each.asked) for each in (sick, second, third)] == [2, 1, 2]
    await etcd.range(b"")
    assert [len(each.asked) for each in (sick, second, third)] == [3, 1, 2]
    await etcd.close()


async def test_when_no_endpoint_answers_the_error_names_them_all(
    sick: FakeEndpoint, start: Start, gateway_to: MakeGateway
) -> None:
    """Each with its own reason, in the order in which they were asked."""
    (nobody,) = free_ports(1)
    closes = await start(closing)
    etcd = gateway_to(sick.address, f"http://{HOST}:{nobody}", closes.address, request_seconds=SHORT)
    with pytest.raises(EtcdError) as error:
        await etcd.range(b"")
    first, second, third = str(error.value).split("; ")
    assert first == f"{sick.address}: no answer within 1 s"
    assert second == f"http://{HOST}:{nobody}: connection refused"
    assert third == f"{closes.address}: it closed the connection before it answered"


async def test_an_answer_that_comes_late_counts_for_nothing(
    sick: FakeEndpoint, start: Start, gateway_to: MakeGateway
) -> None:
    """Its connection is closed, so that no later request is answered with it."""
    good = await start(answering({"header": HEADER, "kvs": [{"key": "YQ==", "mod_revision": "3"}]}))
    etcd = gateway_to(sick.address, good.address, request_seconds=SHORT)
    assert [pair.key for pair in await etcd.range(b"a")] == [b"a"]
    await until(lambda: sick.open_connections == 0)


# What is not an answer.

NOT_ANSWERS: dict[str, tuple[Behaviour, str]] = {
    "garbage": (saying(b"\x00\xff{]"), "not what etcd answers"),
    "html": (saying("<html><body>Welcome!</body></html>"), "is this etcd?"),
    "an empty body": (saying(""), "not what etcd answers"),
    "an empty object": (answering({}), "it has no `header`"),
    "a list": (answering([OK["/v3/kv/range"]]), "not what etcd answers"),
    "a header that is none": (answering({"header": "x"}), "it has no `header`"),
    "a header without a revision": (answering({"header": {"revision": "x"}}), "`revision` is not a number"),
    "brackets without end": (saying("[" * 100_000), "not what etcd answers"),
    "a redirect": (saying("", 307, Location="http://127.0.0.1:1/"), "redirects"),
    "an error of a proxy": (saying("no backend", 503), "HTTP 503"),
    "another program": (saying("404 page not found", 404), "HTTP 404"),
    "a port with TLS": (saying("Client sent an HTTP request to an HTTPS server.", 400), "https:"),
    "an etcd that wants no common name": (
        saying("CommonName of client sending a request against gateway will be ignored", 400),
        "no certificate with a common name",
    ),
    "an error without a code": (answering({"error": "x", "message": "x"}, 500), "HTTP 500"),
    "a body without end": (without_end, "longer than 1048576 bytes"),
    "half a body": (closing_midway, "broke off"),
    "nothing": (closing, "closed the connection"),
    "a compressed body": (saying(b"\x1f\x8b\x08", 200, **{"Content-Encoding": "gzip"}), "not what etcd"),
    "no leader": (refusing(14, "etcdserver: no leader", 503), "etcdserver: no leader"),
}
each_not_answer = pytest.mark.parametrize(("behaviour", "reason"), NOT_ANSWERS.values(), ids=NOT_ANSWERS)


@each_not_answer
async def test_what_is_not_an_answer_leads_to_the_next_endpoint(
    start: Start, gateway_to: MakeGateway, behaviour: Behaviour, reason: str
) -> None:
    """Whatever it is. Alone it is an error, which names the endpoint and what is wrong."""
    bad, good = await start(behaviour), await start(healthy)
    with pytest.raises(EtcdError) as error:
        await gateway_to(bad.address).range(b"a")
    assert str(error.value).startswith(f"{bad.address}: ")
    assert reason in str(error.value)
    assert await gateway_to(bad.address, good.address).range(b"a") == ()


@each_not_answer
async def test_a_claim_is_not_asked_twice_where_it_may_have_been_executed(
    start: Start, gateway_to: MakeGateway, behaviour: Behaviour, reason: str
) -> None:
    """The second answer would be "another has won" where the first one was "you have"."""
    bad, good = await start(behaviour), await start(healthy)
    etcd = gateway_to(bad.address, good.address)
    with pytest.raises(EtcdError, match="unknown"):
        await claim(etcd)
    assert (bad.asked, good.asked) == (["/v3/kv/txn"], [])
    assert await claim(etcd)
    assert len(bad.asked) == 1


async def test_a_claim_whose_answer_is_too_late_is_unknown(
    sick: FakeEndpoint, start: Start, gateway_to: MakeGateway
) -> None:
    """The request had been sent when the time was over."""
    good = await start(healthy)
    with pytest.raises(EtcdError, match=r"no answer within .*; whether .* is unknown"):
        await claim(gateway_to(sick.address, good.address, request_seconds=SHORT))
    assert (sick.asked, good.asked) == (["/v3/kv/txn"], [])


async def test_a_lost_answer_of_a_claim_is_never_a_lost_claim(start: Start, gateway_to: MakeGateway) -> None:
    """Two endpoints of one etcd, of which the first executes and does not say so."""
    leader: list[str] = []

    async def execute(request: web.Request) -> web.StreamResponse:
        won = not leader
        leader.append("me")
        responses: list[object] = [{"response_put": {}}] if won else []
        return web.json_response(
            {"header": HEADER, "responses": responses, **({"succeeded": True} if won else {})}
        )

    async def execute_and_close(request: web.Request) -> web.StreamResponse:
        await execute(request)
        return await closing(request)

    first, second = await start(execute_and_close), await start(execute)
    with pytest.raises(EtcdError):
        await claim(gateway_to(first.address, second.address))
    assert leader == ["me"]


async def test_a_claim_that_was_never_sent_is_asked_at_the_next_endpoint(
    start: Start, gateway_to: MakeGateway
) -> None:
    """Nobody listened there, so nobody executed it."""
    (nobody,) = free_ports(1)
    good = await start(healthy)
    etcd = gateway_to(f"http://{HOST}:{nobody}", good.address)
    assert await claim(etcd)
    assert good.asked == ["/v3/kv/txn"]


async def test_a_claim_over_a_connection_that_was_used_before_counts_as_sent(
    start: Start, gateway_to: MakeGateway
) -> None:
    """It may have reached the other side before the connection ended."""
    first, second = await start(healthy), await start(healthy)
    etcd = gateway_to(first.address, second.address)
    await etcd.range(b"")
    first.behaviour = closing
    with pytest.raises(EtcdError, match="unknown"):
        await claim(etcd)
    assert second.asked == []
    assert len(set(first.connections)) == 1


@pytest.mark.parametrize(
    ("compares", "then", "otherwise", "repeated"),
    [
        ([], [Put(b"a", b"1")], [], True),
        ([], [Read(b"a"), Put(b"a", b"1"), Put(b"b", b"1", 5)], [], True),
        ([], [], [], True),
        ([IsAbsent(b"a")], [Read(b"b")], [Read(b"a")], True),
        ([], [Delete(b"a")], [], False),
        ([IsAbsent(b"a")], [Put(b"a", b"1")], [], False),
        ([IsAbsent(b"a")], [Read(b"a")], [Put(b"a", b"1")], False),
    ],
)
async def test_a_transaction_is_asked_twice_where_that_is_harmless(
    start: Start,
    gateway_to: MakeGateway,
    compares: list[Compare],
    then: list[Operation],
    otherwise: list[Operation],
    repeated: bool,
) -> None:
    """It only reads, or only puts and compares nothing."""
    names = {Put: "response_put", Read: "response_range", Delete: "response_delete_range"}
    responses: list[object] = [{names[type(each)]: {}} for each in then]
    bad = await start(closing)
    good = await start(answering({"header": HEADER, "succeeded": True, "responses": responses}))
    etcd = gateway_to(bad.address, good.address)
    if repeated:
        assert (await etcd.txn(compares, then, otherwise)).succeeded
    else:
        with pytest.raises(EtcdError, match="unknown"):
            await etcd.txn(compares, then, otherwise)
    assert len(good.asked) == repeated


async def test_a_refusal_of_the_request_is_not_asked_elsewhere(start: Start, gateway_to: MakeGateway) -> None:
    """Every endpoint would say the same. What to do stands in the error."""
    first, second = await start(refusing(7, "etcdserver: permission denied", 403)), await start(healthy)
    etcd = gateway_to(first.address, second.address)
    with pytest.raises(EtcdError, match=r"permission denied: give the user a role"):
        await etcd.range(b"")
    assert second.asked == []


# Leases.


async def test_a_lease_counts_from_when_the_answered_request_was_sent(
    start: Start, gateway_to: MakeGateway
) -> None:
    """Not from when an endpoint before was asked, which would be too early to be of use, and not from the
    answer, which would be too late to be true."""
    clock = ManualClock()

    async def slow_and_closing(request: web.Request) -> web.StreamResponse:
        clock.now += 5
        return await closing(request)

    async def slow(request: web.Request) -> web.StreamResponse:
        clock.now += 3
        return await healthy(request)

    bad, good = await start(slow_and_closing), await start(slow)
    etcd = gateway_to(bad.address, good.address, clock=clock)
    lease = await etcd.grant(5)
    assert (lease.id, lease.ttl_seconds, lease.sent_at) == (int(LEASE), 5, 1005.0)
    assert (await etcd.keep_alive(lease.id)).sent_at == 1008.0


async def test_of_a_stream_of_answers_the_first_is_taken(start: Start, gateway_to: MakeGateway) -> None:
    """A keep-alive is a stream: nobody waits for its end."""
    made: FakeEndpoint

    async def stream(request: web.Request) -> web.StreamResponse:
        if request.path != KEEP_ALIVE:
            return await healthy(request)
        response = web.StreamResponse()
        await response.prepare(request)
        answer = json.dumps(OK[request.path]).encode()
        await response.write(answer[:20])
        await response.write(answer[20:] + b"\n")
        await made.never()
        return response

    made = await start(stream)
    assert (await gateway_to(made.address).keep_alive(int(LEASE))).ttl_seconds == 5
    await until(lambda: made.open_connections == 1)


@pytest.mark.parametrize(
    ("result", "seconds"),
    [
        ({"header": HEADER, "ID": LEASE, "TTL": "5"}, 5),
        ({"header": HEADER, "ID": LEASE, "TTL": 5}, 5),
        ({"header": HEADER, "ID": LEASE, "TTL": "0"}, 0),
        ({"header": HEADER, "ID": LEASE}, 0),
    ],
)
async def test_a_lease_without_time_to_live_has_ended(
    start: Start, gateway_to: MakeGateway, result: dict[str, object], seconds: int
) -> None:
    """That is an answer, and no error."""
    made = await start(keeping_alive(answering({"result": result})))
    assert (await gateway_to(made.address).keep_alive(int(LEASE))).ttl_seconds == seconds


@pytest.mark.parametrize(
    "answer",
    [
        {"header": HEADER, "ID": LEASE, "TTL": "5"},
        {"result": {"ID": LEASE, "TTL": "5"}},
        {"result": {"header": HEADER, "TTL": "5"}},
        {"result": {"header": HEADER, "ID": "17", "TTL": "5"}},
        {"result": {"header": HEADER, "ID": LEASE, "TTL": "five"}},
        {"result": {"header": HEADER, "ID": LEASE, "TTL": True}},
        {"error": {"grpc_code": 14, "http_code": 503, "message": "no leader", "http_status": "Unavailable"}},
    ],
)
async def test_a_keep_alive_that_says_something_else_is_an_error(
    start: Start, gateway_to: MakeGateway, answer: object
) -> None:
    """Above all it is not taken for a lease that has ended."""
    made = await start(keeping_alive(answering(answer)))
    with pytest.raises(EtcdError):
        await gateway_to(made.address).keep_alive(int(LEASE))
    assert made.asked == [KEEP_ALIVE]


def in_term(term: str) -> Behaviour:
    """Reads are answered in another term than leases are kept alive in, which is 2."""
    return keeping_alive(healthy, answering({"header": {**HEADER, "raft_term": term}}))


@pytest.mark.parametrize(
    "behaviour",
    [
        in_term("3"),
        keeping_alive(answering({"result": {"header": {"revision": "7"}, "ID": LEASE, "TTL": "5"}})),
        keeping_alive(answering({"result": {**OK[KEEP_ALIVE]["result"], "TTL": "0"}}), in_term("3")),
        keeping_alive(healthy, closing),
        keeping_alive(healthy, answering({})),
        keeping_alive(healthy, refusing(14, "etcdserver: no leader")),
    ],
)
async def test_a_lease_that_a_former_leader_kept_alive_is_not_kept_alive(
    start: Start, gateway_to: MakeGateway, behaviour: Behaviour
) -> None:
    """It may be in the first moments after it stood still: a read after it shows whether it still leads. Nor
    has a lease ended when such a one says so."""
    bad, good = await start(behaviour), await start(healthy)
    with pytest.raises(EtcdError):
        await gateway_to(bad.address).keep_alive(int(LEASE))
    lease = await gateway_to(bad.address, good.address).keep_alive(int(LEASE))
    assert lease.ttl_seconds == 5
    assert bad.asked == [KEEP_ALIVE, "/v3/kv/range"] * 2
    assert good.asked == [KEEP_ALIVE, "/v3/kv/range"]


async def test_after_a_lease_was_kept_alive_a_key_is_read_that_may_be_read(
    start: Start, gateway_to: MakeGateway
) -> None:
    """A user may have but a few keys: one that was asked for before."""
    keys: list[str] = []

    async def noting(request: web.Request) -> web.StreamResponse:
        if request.path == "/v3/kv/range":
            keys.append((await request.json())["key"])
        return await healthy(request)

    etcd = gateway_to((await start(noting)).address)
    await etcd.keep_alive(int(LEASE))
    await claim(etcd)
    await etcd.keep_alive(int(LEASE))
    assert [b64decode(key) for key in keys] == [b"\0", b"leader"]


# Beginning and end.


def test_a_gateway_is_made_without_doing_anything(tmp_path: Path) -> None:
    """No file is read, no connection opened, no loop needed."""
    nothing = tmp_path / "nothing"
    make_gateway(f"https://{HOST}:1", ca_file=nothing, cert_file=nothing, key_file=nothing)


async def test_a_call_that_is_cancelled_leaves_nothing_behind(gateway_to: MakeGateway) -> None:
    """No task, and no connection."""
    with socket.create_server((HOST, 0)) as listener:
        listener.setblocking(False)
        etcd, loop = gateway_to(f"http://{HOST}:{listener.getsockname()[1]}"), asyncio.get_running_loop()
        before = asyncio.all_tasks()
        call = asyncio.create_task(etcd.range(b""))
        connection, _ = await loop.sock_accept(listener)
        with connection:
            assert await loop.sock_recv(connection, 4096)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            while await loop.sock_recv(connection, 4096):
                pass
        await until(lambda: asyncio.all_tasks() == before)


async def test_a_closed_gateway_says_so(start: Start) -> None:
    """Its connections end; closing it twice is closing it once."""
    good = await start(healthy)
    etcd = make_gateway(good.address)
    await etcd.range(b"")
    assert good.open_connections == 1
    await etcd.close()
    await etcd.close()
    await until(lambda: good.open_connections == 0)
    with pytest.raises(EtcdError, match="closed"):
        await etcd.range(b"")


async def test_proxies_of_the_environment_are_not_used(
    start: Start, gateway_to: MakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """etcd is asked itself: a token is for nobody else."""
    (nobody,) = free_ports(1)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{HOST}:{nobody}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    good = await start(healthy)
    await gateway_to(good.address).range(b"")
    assert len(good.asked) == 1


async def test_a_redirect_is_not_followed(start: Start, gateway_to: MakeGateway) -> None:
    """Nobody is asked whom the configuration does not name."""
    good = await start(healthy)
    bad = await start(saying("", 307, Location=good.address + "/v3/kv/range"))
    with pytest.raises(EtcdError, match="redirects"):
        await gateway_to(bad.address).range(b"")
    assert good.asked == []
