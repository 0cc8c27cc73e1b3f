"""A running server over each kind of store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import redis

from replicad.options import Options
from replicad.server.rounds import Rounds
from replicad.store.database import open_database
from tests.server.harness import FakeNode, RunningServer
from tests.support.stores.fake_database import FakeDatabase

StartServer = Callable[..., RunningServer]


@pytest.fixture
def start() -> Iterator[StartServer]:
    """Starts servers, over a fake store unless told otherwise, and ends them all."""
    running: list[RunningServer] = []

    def start_one(
        store: Any = None,
        node: FakeNode | None = None,
        durability: Literal["sync", "async"] = "sync",
        **options: Any,
    ) -> RunningServer:
        running.append(RunningServer(store or FakeDatabase(durability), node, **options))
        return running[-1]

    yield start_one
    for server in running:
        server.close()


@pytest.fixture(params=["fake-sync", "store-sync", "store-async"])
def server(request: pytest.FixtureRequest, start: StartServer, tmp_path: Path) -> RunningServer:
    """The fake on asyncio's own loop, the real store on the loop of the daemons."""
    kind, durability = request.param.split("-")
    if kind == "fake":
        return start(durability=durability)
    return start(open_database(tmp_path / "data", Options(durability=durability)), on_uvloop=True)


@pytest.fixture(params=[2, 3])
def client(request: pytest.FixtureRequest, server: RunningServer) -> Iterator[redis.Redis]:
    with redis.Redis(port=server.port, protocol=request.param, socket_timeout=10) as connected:
        yield connected


@pytest.fixture(params=["sockets", "streams"])
def both_wires(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clients' sockets are the kernel's, and transports of the event loop: limits, turns, slow readers
    and ends of connections hold in both."""
    if request.param == "streams":
        monkeypatch.setattr(Rounds, "start", lambda rounds: False)
