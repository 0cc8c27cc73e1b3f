"""The HTTP port: checks, status and metrics of documents that a node might show."""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.error
import urllib.request
from asyncio import to_thread
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge

from replicad.net.addresses import Address
from replicad.server.access.login import Login
from replicad.server.access.roles import Role
from replicad.server.access.secrets import token_sha256
from replicad.server.access.users import UserOptions, Users
from replicad.server.health import LagKind, is_alive, is_primary, is_ready, is_replica
from replicad.server.http import HttpServer
from replicad.server.http_limits import Limits
from tests.support.waiting import until

PRIMARY: dict[str, Any] = {
    "role": "primary",
    "standing": "primary",
    "position": "1:5:00000000000000ff",
    "failure": None,
    "fenced_by_epoch": None,
    "applied_sequence": 5,
    "store": {
        "levels": [{"tables": 1}, {"tables": 4}],
        "families": {"default": {"tables": 1}, "users": {"tables": 2}},
        "amplification": {"write": 2.5},
    },
    "replicas": [{"node_id": "ab", "lag_sequences": 3}],
}
REPLICA: dict[str, Any] = {
    "role": "replica",
    "position": "1:5:00000000000000ff",
    "lag_sequences": 3,
    "link": {"state": "streaming", "waits_for": "the next frames"},
}
STALE: dict[str, Any] = {**REPLICA["link"], "reads_refused": "STALE not heard of the primary for 9 s"}
DAMAGED: dict[str, Any] = {"refuses_reads": True, "doubt": "a table is damaged"}
EMPTY: dict[str, Any] = {
    "role": "replica",
    "position": None,
    "link": {"state": "connecting", "waits_for": "the primary to accept the connection"},
}


@pytest.mark.parametrize(
    ("document", "alive", "ready", "primary", "replica", "replica_within_2"),
    [
        (PRIMARY, True, True, True, False, False),
        ({**PRIMARY, "failure": "sync"}, False, False, False, False, False),
        ({**PRIMARY, "fenced_by_epoch": 7}, True, True, False, False, False),
        *[
            ({**PRIMARY, "standing": standing}, True, True, False, False, False)
            for standing in ("doubting", "paused", "handing-over")
        ],
        ({**PRIMARY, "store": {"refused": "no room on the disk"}}, True, True, False, False, False),
        ({**PRIMARY, "store": {"refused": None}}, True, True, True, False, False),
        (REPLICA, True, True, False, True, False),
        ({**REPLICA, "lag_sequences": 0, "link": STALE}, True, False, False, False, False),
        ({**REPLICA, "verification": DAMAGED}, True, False, False, False, False),
        ({**REPLICA, "lag_sequences": 2}, True, True, False, True, True),
        ({**REPLICA, "lag_sequences": None}, True, True, False, True, False),
        ({**REPLICA, "link": {"state": "waiting", "waits_for": "x"}}, True, True, False, False, False),
        (EMPTY, True, False, False, False, False),
    ],
)
def test_each_check_says_yes_to_the_nodes_that_it_names(
    document: dict[str, Any], alive: bool, ready: bool, primary: bool, replica: bool, replica_within_2: bool
) -> None:
    """Each check says yes to the nodes that it names, and to no others."""
    assert is_alive(document)[0] == alive
    assert is_ready(document)[0] == ready
    assert is_primary(document)[0] == primary
    assert is_replica(document)[0] == replica
    assert is_replica(document, {"sequences": 2})[0] == replica_within_2


@pytest.fixture
def server() -> HttpServer:
    registry = CollectorRegistry()
    Gauge("answer", "To all questions.", registry=registry).set(42)
    return HttpServer(lambda: PRIMARY, registry)


@pytest.fixture
async def port(server: HttpServer) -> AsyncIterator[int]:
    _, port = await server.start(Address("127.0.0.1", 0))
    yield port
    await server.close()


async def fetch(port: int, path: str) -> tuple[int, str]:
    def ask() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    return await to_thread(ask)


@pytest.mark.parametrize(
    ("seconds", "staleness_max", "good"),
    [(0.5, None, True), (0.5, 1.0, True), (1.5, 1.0, False), (None, 1.0, False), (None, None, True)],
)
def test_a_replica_is_asked_how_old_its_data_is(
    seconds: float | None, staleness_max: float | None, good: bool
) -> None:
    """What is not known is too old."""
    document = {**REPLICA, "link": {**REPLICA["link"], "staleness_seconds": seconds}}
    limits: dict[LagKind, float] = {} if staleness_max is None else {"staleness": staleness_max}
    assert is_replica(document, limits)[0] == good


async def test_checks_status_and_metrics_are_served_over_http(port: int) -> None:
    """Checks answer 200 or 503 with a reason, the status is JSON, metrics are Prometheus text."""
    assert await fetch(port, "/primary") == (200, "primary at 1:5:00000000000000ff\n")
    assert await fetch(port, "/replica?lag=2") == (503, "the primary\n")
    assert (await fetch(port, "/replica?lag=-1"))[0] == 400
    assert await fetch(port, "/replica?staleness=0.5") == (503, "the primary\n")
    assert (await fetch(port, "/replica?staleness=nan"))[0] == 400
    assert (await fetch(port, "/nothing"))[0] == 404
    code, text = await fetch(port, "/status")
    assert (code, json.loads(text)) == (200, PRIMARY)
    code, text = await fetch(port, "/metrics")
    assert code == 200
    assert "# HELP answer To all questions.\n# TYPE answer gauge\nanswer 42.0\n" in text


@pytest.mark.parametrize("path", ["/livez", "/liveness", "/readyz", "/readiness", "/primary", "/"])
async def test_balancers_get_the_status_code_alone(port: int, path: str) -> None:
    """HEAD and OPTIONS are answered as GET is, without a body; what is not asked about health is 405."""
    for method, size in (("GET", 1), ("HEAD", 0), ("OPTIONS", 0)):
        code, body = await ask(port, f"{method} {path} HTTP/1.0\r\n\r\n")
        assert code == 200 and bool(body) == bool(size), method
    assert (await ask(port, f"POST {path} HTTP/1.0\r\n\r\n"))[0] == 405
    assert (await ask(port, "OPTIONS /replica?max_lag=1 HTTP/1.0\r\n\r\n"))[0] == 503
    assert (await ask(port, "OPTIONS /replica?max_lag=x HTTP/1.0\r\n\r\n"))[0] == 400


async def test_what_is_refused_is_counted(server: HttpServer, port: int) -> None:
    """By kind: a Host of others, parameters that are wrong, requests without end."""
    assert (await ask(port, "GET /status HTTP/1.0\r\nHost: evil.example.com\r\n\r\n"))[0] == 421
    assert (await ask(port, "GET /status HTTP/1.0\r\nHost: localhost\r\n\r\n"))[0] == 200
    assert (await fetch(port, "/primary?max_lag=1"))[0] == 400
    assert (await fetch(port, "/replica?max_lag=soon"))[0] == 400
    header = "X-Long: " + "x" * 4000 + "\r\n"
    with contextlib.suppress(ConnectionError):
        assert await ask(port, "GET /livez HTTP/1.0\r\n" + header * 5 + "\r\n") == (0, "")
    assert server.refused == {"host": 1, "parameters": 2, "size": 1}
    code, _ = await ask(port, "GET /livez HTTP/1.0\r\nX-Long: " + "x" * 5000 + "\r\n\r\n")
    assert code == 400


@pytest.mark.parametrize("scheme", ["Basic", "Bearer", ""])
async def test_an_authorization_of_any_bytes_is_nobodys(scheme: str) -> None:
    """And no error of the server."""
    users = Users({"app": UserOptions(roles=(Role.MONITOR,), token_sha256=token_sha256("of the app"))})
    server = HttpServer(lambda: PRIMARY, CollectorRegistry(), Login(users))
    _, port = await server.start(Address("127.0.0.1", 0))
    header = f"Authorization: {scheme} \udcff\udc80"
    code, _ = await ask(port, f"GET /status HTTP/1.0\r\n{header}\r\n\r\n")
    assert code == 401
    await server.close()


async def ask(port: int, request: str) -> tuple[int, str]:
    """The status code and the body; (0, "") where the connection ends instead."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request.encode("utf-8", "surrogateescape"))
        answer = (await reader.read()).decode()
    finally:
        writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    return (int(head.split()[1]), body) if head else (0, "")


async def test_connections_have_a_limit_and_a_deadline() -> None:
    """Half a request is waited for no longer than its time, and who comes beyond the limit is closed."""
    application = web.Application()
    application.add_routes([web.get("/", hello)])
    runner = web.AppRunner(application)
    await runner.setup()
    assert runner.server is not None
    limits = Limits(runner.server, connections_max=2, request_seconds_max=0.2, idle_seconds_max=30.0)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(limits.connection, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    half = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    half[0][1].write(b"GET / HTTP/1.1\r\nHost: x\r\n")
    await until(lambda: len(limits) == 2)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.read() == b""
    for each, _ in half:
        with contextlib.suppress(ConnectionError):
            assert await each.read() == b""
    await until(lambda: len(limits) == 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    for open_writer in (writer, *(writer for _, writer in half)):
        open_writer.close()
    listener.close()
    await runner.cleanup()


async def test_one_address_does_not_take_all_connections() -> None:
    """Its oldest gives way to another address, until both have as many; then who comes last is closed."""
    application = web.Application()
    application.add_routes([web.get("/", hello)])
    runner = web.AppRunner(application)
    await runner.setup()
    assert runner.server is not None
    limits = Limits(runner.server, connections_max=4)
    listener = await asyncio.get_running_loop().create_server(limits.connection, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    writers = []

    async def come(host: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(host, 0))
        writers.append(writer)
        return reader, writer

    first = [await come("127.0.0.7") for _ in range(4)]
    await until(lambda: len(limits) == 4)
    for _ in range(2):
        reader, writer = await come("127.0.0.8")
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    for reader, _ in first[:2]:
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
    reader, _ = await come("127.0.0.8")
    assert await reader.read() == b""
    for writer in writers:
        writer.close()
    listener.close()
    await runner.cleanup()


async def hello(request: web.Request) -> web.Response:
    return web.Response(text="hello")
