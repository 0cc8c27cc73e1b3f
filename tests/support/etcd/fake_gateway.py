"""An endpoint in the test's process that answers whatever a test wants, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

HOST = "127.0.0.1"
HEADER = {"cluster_id": "1", "member_id": "2", "revision": "7", "raft_term": "2"}
LEASE = "4390625006105581577"
TOKEN = "aToken.7"

OK: dict[str, dict[str, Any]] = {
    "/v3/kv/range": {"header": HEADER},
    "/v3/kv/txn": {
        "header": HEADER,
        "succeeded": True,
        "responses": [{"response_put": {"header": {"revision": "7"}}}],
    },
    "/v3/lease/grant": {"header": HEADER, "ID": LEASE, "TTL": "5"},
    "/v3/lease/keepalive": {"result": {"header": HEADER, "ID": LEASE, "TTL": "5"}},
    "/v3/lease/revoke": {"header": HEADER},
    "/v3/auth/authenticate": {"header": HEADER, "token": TOKEN},
}
"""What a healthy etcd answers to each path; a transaction is taken for one with one put."""

Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakeEndpoint:
    """`behaviour` may be exchanged at any time."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.asked: list[str] = []
        """The paths, in order."""
        self.tokens: list[str | None] = []
        self.connections: list[asyncio.Transport] = []
        """Those that were asked over."""
        self.port = 0
        self._over = asyncio.Event()

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def open_connections(self) -> int:
        return sum(not transport.is_closing() for transport in self.connections)

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        self._over.set()
        await self._runner.cleanup()

    async def never(self) -> None:
        """Until the end of the test."""
        await self._over.wait()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        self.tokens.append(request.headers.get("Authorization"))
        assert isinstance(request.transport, asyncio.Transport)
        self.connections.append(request.transport)
        return await self.behaviour(request)


@asynccontextmanager
async def fake(behaviour: Behaviour) -> AsyncIterator[FakeEndpoint]:
    made = FakeEndpoint(behaviour)
    await made.start()
    try:
        yield made
    finally:
        await made.close()


# Behaviours.


async def healthy(request: web.Request) -> web.StreamResponse:
    return web.json_response(OK[request.path])


def answering(body: object, status: int = 200) -> Behaviour:
    """That JSON, whatever is asked."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status)

    return answer


def saying(text: str | bytes, status: int = 200, **headers: str) -> Behaviour:
    async def answer(request: web.Request) -> web.StreamResponse:
        body = text.encode() if isinstance(text, str) else text
        return web.Response(body=body, status=status, headers=headers)

    return answer


def refusing(code: int, message: str, status: int = 400) -> Behaviour:
    """As the gateway says that a call has failed."""
    return answering({"error": message, "message": message, "code": code}, status)


async def closing(request: web.Request) -> web.StreamResponse:
    """Takes the request, and ends the connection."""
    await request.read()
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def closing_midway(request: web.Request) -> web.StreamResponse:
    """Ends the connection in the middle of a right answer."""
    body = json.dumps(OK[request.path]).encode()
    response = web.StreamResponse(headers={"Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    assert request.transport is not None
    request.transport.close()
    return response


async def without_end(request: web.Request) -> web.StreamResponse:
    """Sends spaces for as long as the other side takes them."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * 65536)


def silent(made: Callable[[], FakeEndpoint]) -> Behaviour:
    """Takes the request, and does nothing."""

    async def answer(request: web.Request) -> web.StreamResponse:
        await made().never()
        return web.Response()

    return answer
