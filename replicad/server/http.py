"""HTTP for those that watch a node: health, status and metrics. It changes nothing.

    GET /liveness          200 while the process answers and its store has not failed, else 503
    GET /readiness         200 while clients read, else 503
    GET /primary           200 on a primary that takes writes, else 503; also while they wait for its role
    GET /replica           200 on a replica that is ready and streams, else 503;
                ?lag=N     that is at most N sequence numbers behind, as far as its primary said lately,
          ?staleness=S     whose data is at most S seconds old
    GET /status            the status document, JSON
    GET /metrics           the metrics of the registry, as OpenMetrics or plain text

The four checks are pure functions of the status document; their answers say why in one line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from replicad.net.addresses import Address
from replicad.net.doors import CLEAR, Door, Listener
from replicad.server.access.login import Login
from replicad.server.access.users import Users
from replicad.server.health import Document, Verdict, is_alive, is_primary, is_ready, is_replica
from replicad.server.http_limits import Limits
from replicad.server.http_login import checking

Handler = Callable[[web.Request], Awaitable[web.Response]]

LAG_DIGITS_MAX = 20
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)


class HttpServer:
    """Listens for one node; `status` gives its current document."""

    def __init__(
        self, status: Callable[[], Document], registry: CollectorRegistry, login: Login | None = None
    ) -> None:
        self._status = status
        self._registry = registry
        self._login = login or Login(Users({}))
        self._runner: web.AppRunner | None = None
        self._listener: Listener | None = None
        self._limits: Limits | None = None

    async def start(self, address: Address, door: Door = CLEAR) -> Address:
        """The address that it listens on; OSError when it is taken."""
        application = web.Application(middlewares=[self._note_request, checking(self._login)])
        application.add_routes(
            [
                web.get("/liveness", self._checking(is_alive)),
                web.get("/readiness", self._checking(is_ready)),
                web.get("/primary", self._checking(is_primary)),
                web.get("/replica", self._replica),
                web.get("/status", self._document),
                web.get("/metrics", self._metrics),
            ]
        )
        runner = web.AppRunner(application, access_log=None, handle_signals=False)
        await runner.setup()
        self._runner = runner
        server = runner.server
        if server is None:
            raise RuntimeError("aiohttp's runner was set up and has no server")
        self._limits = limits = Limits(server)
        self._listener, bound = await door.listen(limits.connection, address)
        return bound

    async def close(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    @web.middleware
    async def _note_request(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if self._limits is not None:
            self._limits.asked(request.transport)
        return await handler(request)

    def _checking(self, check: Callable[[Document], Verdict]) -> Handler:
        async def answer(_: web.Request) -> web.Response:
            return _answer(check(self._status()))

        return answer

    async def _replica(self, request: web.Request) -> web.Response:
        lag, staleness = request.query.get("lag"), request.query.get("staleness")
        if lag is not None and not (lag.isascii() and lag.isdigit() and len(lag) <= LAG_DIGITS_MAX):
            return web.Response(status=400, text="lag is a whole number of sequence numbers\n")
        if staleness is not None and _SECONDS.fullmatch(staleness) is None:
            return web.Response(status=400, text="staleness is a number of seconds\n")
        return _answer(
            is_replica(
                self._status(),
                None if lag is None else int(lag),
                None if staleness is None else float(staleness),
            )
        )

    async def _document(self, _: web.Request) -> web.Response:
        return web.json_response(self._status(), dumps=lambda value: json.dumps(value, default=str))

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})


def _answer(verdict: Verdict) -> web.Response:
    good, text = verdict
    return web.Response(status=200 if good else 503, text=text + "\n")
