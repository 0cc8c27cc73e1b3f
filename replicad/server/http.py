"""HTTP for those that watch a node: health, status and metrics. It changes nothing.

    GET /liveness          200 while the process answers and its store has not failed, else 503
    GET /readiness         200 while clients read, else 503
    GET /primary           200 on a primary that takes writes, else 503; also while they wait for its role
    GET /replica           200 on a replica that is ready and streams, else 503;
                ?lag=N     that is at most N sequence numbers behind, as far as its primary said lately,
          ?staleness=S     whose data is at most S seconds old
    GET /status            the status document, JSON
    GET /metrics           its numbers as Prometheus text

The four checks are pure functions of the status document; their answers say why in one line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from replicad.net.addresses import Address
from replicad.net.doors import CLEAR, Door, Listener
from replicad.server.http_limits import Limits

Document = dict[str, Any]
Verdict = tuple[bool, str]
Handler = Callable[[web.Request], Awaitable[web.Response]]

LAG_DIGITS_MAX = 20
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)


def is_alive(document: Document) -> Verdict:
    failure = document.get("failure")
    return failure is None, "alive" if failure is None else f"the store failed: {failure}"


def is_ready(document: Document) -> Verdict:
    alive, why = is_alive(document)
    if not alive:
        return alive, why
    if document.get("position") is None:
        return False, f"no data yet; waits for {document.get('link', {}).get('waits_for', 'its primary')}"
    if document.get("verification", {}).get("refuses_reads"):
        return False, f"refuses reads: {document['verification']['doubt']}"
    if refusal := document.get("link", {}).get("reads_refused"):
        return False, f"refuses reads: {refusal}"
    return True, f"{document['role']} at {document['position']}"


def is_primary(document: Document) -> Verdict:
    ready, why = is_ready(document)
    if not ready or document["role"] != "primary":
        return False, why if not ready else "a replica"
    if (fenced := document.get("fenced_by_epoch")) is not None:
        return False, f"fenced by epoch {fenced}"
    if document["standing"] != "primary":
        return False, f"writes wait: {document['standing']}"
    if refusal := document.get("store", {}).get("refused"):
        return False, f"refuses writes: {refusal}"
    return True, why


def is_replica(document: Document, lag_max: int | None, staleness_max: float | None = None) -> Verdict:
    ready, why = is_ready(document)
    if not ready or document["role"] != "replica":
        return False, why if not ready else "the primary"
    state = document["link"]["state"]
    if state != "streaming":
        return False, f"{state}: {document['link']['waits_for']}"
    lag, link = document.get("lag_sequences"), document["link"]
    behind = f"{lag} sequence numbers behind"
    if lag is None:
        heard = _seconds(link.get("primary_sequence_age_seconds"))
        behind = f"how far behind is not known: what it knows of its primary is {heard}"
    if lag_max is not None and (lag is None or lag > lag_max):
        return False, behind
    staleness = link.get("staleness_seconds")
    if staleness_max is not None and (staleness is None or staleness > staleness_max):
        return False, f"its data may be {_seconds(staleness)}"
    return True, f"{why}, {behind}"


def _seconds(age: float | None) -> str:
    return "of unknown age" if age is None else f"{age:.1f} s old"


class HttpServer:
    """Listens for one node; `status` gives its current document."""

    def __init__(self, status: Callable[[], Document]) -> None:
        self._status = status
        self._runner: web.AppRunner | None = None
        self._listener: Listener | None = None
        self._limits: Limits | None = None
        self._registry = CollectorRegistry()
        self._registry.register(_Numbers(status))

    async def start(self, address: Address, door: Door = CLEAR) -> Address:
        """The address that it listens on; OSError when it is taken."""
        application = web.Application(middlewares=[self._note_request])
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

    async def _metrics(self, _: web.Request) -> web.Response:
        text = generate_latest(self._registry).decode()
        return web.Response(text=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


def _answer(verdict: Verdict) -> web.Response:
    good, text = verdict
    return web.Response(status=200 if good else 503, text=text + "\n")


class _Numbers(Collector):
    """Every number of the status document as a gauge: `replicad_` and its path, joined by underscores."""

    def __init__(self, status: Callable[[], Document]) -> None:
        self._status = status

    def describe(self) -> list[GaugeMetricFamily]:
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        families: dict[tuple[str, tuple[str, ...]], GaugeMetricFamily] = {}
        for name, labels, value in numbers(self._status()):
            key = name, tuple(labels)
            if key not in families:
                families[key] = GaugeMetricFamily(name, f"{name} of the status document", labels=list(labels))
            families[key].add_metric(list(labels.values()), value)
        yield from families.values()


def numbers(document: Document) -> list[tuple[str, dict[str, str], float]]:
    """(name, labels, value) of every number in the document.

    An entry of a list is labelled with its node id or its place; an entry of `families` with its name.
    """
    found: list[tuple[str, dict[str, str], float]] = []

    def walk(name: str, labels: dict[str, str], value: Any) -> None:
        if isinstance(value, int | float):
            found.append((name, labels, float(value)))
        elif isinstance(value, dict):
            by_family = name == "replicad_store_families" and "family" not in labels
            for key, item in value.items():
                if by_family:
                    walk(name, {**labels, "family": str(key)}, item)
                else:
                    walk(f"{name}_{key}", labels, item)
        elif isinstance(value, list):
            label = name.rpartition("_")[2].rstrip("s")
            for place, item in enumerate(value):
                node = item.get("node_id") if isinstance(item, dict) else None
                walk(name, {**labels, label: str(place) if node is None else str(node)}, item)

    walk("replicad", {}, document)
    return found
