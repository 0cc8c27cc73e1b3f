"""HTTP for those that watch a node: health, status and metrics. It changes nothing.

    GET /livez             200 while the process answers and its store is well, else 503; also /liveness
    GET /readyz            200 while clients read, else 503; also /readiness
    GET /primary           200 on a primary that takes writes, else 503; also while they wait; also /
    GET /replica           200 on a replica that is ready and streams, else 503;
        ?max_lag=N         that is not further behind, by
        &lag_kind=K        sequences, seconds or staleness (`http_parameters`)
    GET /status            the status document, JSON
    GET /metrics           the metrics of the registry, as OpenMetrics or plain text

The four checks are pure functions of the status document; their answers say why in one line. HEAD and OPTIONS
get the status code only, as balancers want it. A parameter that is wrong is 400, a Host that is not this
node's is 421.
"""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from functools import partial

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from replicad.net.addresses import Address
from replicad.net.doors import CLEAR, Door, Listener
from replicad.server.access.login import Login
from replicad.server.access.users import Users
from replicad.server.health import Document, Verdict, is_alive, is_primary, is_ready, is_replica
from replicad.server.http_host import is_meant
from replicad.server.http_limits import FIELD_BYTES_MAX, HEADERS_MAX, LINE_BYTES_MAX, Limits
from replicad.server.http_login import checking
from replicad.server.http_parameters import WrongParameter, check_none, read_lag_limits

Handler = Callable[[web.Request], Awaitable[web.Response]]


Check = Callable[[Document], Verdict]
CHECKS: dict[str, Check] = {
    "/livez": is_alive,
    "/liveness": is_alive,
    "/readyz": is_ready,
    "/readiness": is_ready,
    "/primary": is_primary,
    "/": is_primary,
}


class HttpServer:
    """Listens for one node; `status` gives its current document. `names` are the hosts under which it is
    asked, in addition to localhost and the machine's own name."""

    def __init__(
        self,
        status: Callable[[], Document],
        registry: CollectorRegistry,
        login: Login | None = None,
        names: Collection[str] = (),
    ) -> None:
        self._status = status
        self._registry = registry
        self._login = login or Login(Users({}))
        self._names = {"localhost", socket.gethostname(), *names}
        self._runner: web.AppRunner | None = None
        self._listener: Listener | None = None
        self._limits: Limits | None = None
        self.refused: Counter[str] = Counter()
        """Connections and requests, by kind."""

    async def start(self, address: Address, door: Door = CLEAR) -> Address:
        """The address that it listens on; OSError when it is taken."""
        application = web.Application(middlewares=[self._note_request, checking(self._login)])
        handlers: dict[str, Handler] = {
            **{path: partial(self._check, check) for path, check in CHECKS.items()},
            "/replica": self._replica,
            "/status": self._document,
            "/metrics": self._metrics,
        }
        for path, handler in handlers.items():
            application.router.add_get(path, handler)  # and HEAD
            application.router.add_options(path, partial(_status_only, handler))
        runner = web.AppRunner(
            application,
            access_log=None,
            handle_signals=False,
            max_line_size=LINE_BYTES_MAX,
            max_field_size=FIELD_BYTES_MAX,
            max_headers=HEADERS_MAX,
        )
        await runner.setup()
        self._runner = runner
        server = runner.server
        if server is None:
            raise RuntimeError("aiohttp's runner was set up and has no server")
        self._limits = limits = Limits(server, refused=self._refuse)
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
        if not is_meant(request.headers.get("Host"), self._names):
            self._refuse("host")
            text = "this Host is not this node's: ask an IP address, localhost, or what `announce` says\n"
            return web.Response(status=421, text=text)
        try:
            answer = await handler(request)
        except WrongParameter as error:
            self._refuse("parameters")
            return web.Response(status=400, text=f"{error}\n")
        if answer.status in (401, 403):
            self._refuse("login")
        return answer

    def _refuse(self, kind: str) -> None:
        self.refused[kind] += 1

    async def _check(self, check: Check, request: web.Request) -> web.Response:
        check_none(request.query.items())
        return _answer(check(self._status()))

    async def _replica(self, request: web.Request) -> web.Response:
        limits = read_lag_limits(request.query.items())
        return _answer(is_replica(self._status(), limits))

    async def _document(self, request: web.Request) -> web.Response:
        check_none(request.query.items())
        return web.json_response(self._status(), dumps=lambda value: json.dumps(value, default=str))

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})


def _answer(verdict: Verdict) -> web.Response:
    good, text = verdict
    return web.Response(status=200 if good else 503, text=text + "\n")


async def _status_only(handler: Handler, request: web.Request) -> web.Response:
    return web.Response(status=(await handler(request)).status)
