"""What links make of a primary's data, on one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import redis

from replicad.options import Options
from replicad.replication.links.records import (
    ORIGINS,
    STAMPS,
    decode_key_stamp,
    decode_origin,
    stamp_key,
)
from replicad.server.linked_data import LinkedData
from replicad.store.database import Database, open_database
from tests.server.conftest import StartServer
from tests.server.harness import RunningServer

Found = TypeVar("Found")


@pytest.fixture
def store(tmp_path: Path) -> Database:
    return open_database(tmp_path / "data", Options())


@pytest.fixture
def server(start: StartServer, store: Database) -> RunningServer:
    running = start(store, on_uvloop=True)
    on_loop(running, lambda linked: linked.link_families(["default"]))
    return running


def on_loop(server: RunningServer, function: Callable[[LinkedData], Found]) -> Found:
    async def run() -> Found:
        return function(server.server.state.linked)

    return asyncio.run_coroutine_threadsafe(run(), server.server.state.loop).result(10)


def stamp_of(store: Database, key: bytes) -> Any:
    data = store.get(stamp_key(0, key), family=store.families[STAMPS])
    return None if data is None else decode_key_stamp(data)


def test_every_write_of_a_client_has_its_stamp(server: RunningServer, store: Database) -> None:
    """Simple ones, those of a transaction, deletes; each later one is larger, and the clock is with it."""
    with redis.Redis(port=server.port, socket_timeout=10) as client:
        client.set("a", 1)
        first = stamp_of(store, b"a")
        client.pipeline().incr("a").set("b", 2).execute()
        client.mset({"c": 3, "d": 4})
        client.delete("c")
        client.append("d", "x")
    assert first.stamp.origin == store.database_id and not first.is_deleted
    assert stamp_of(store, b"a").stamp == stamp_of(store, b"b").stamp > first.stamp
    assert stamp_of(store, b"c").is_deleted
    clock = decode_origin(store.get(store.database_id, family=store.families[ORIGINS]) or b"")
    assert clock.frontier_us == stamp_of(store, b"d").stamp.time_us


def test_the_clock_goes_on_in_a_new_process(start: StartServer, tmp_path: Path) -> None:
    """Whatever the wall clock says then."""
    far_us = 9_000_000_000_000_000
    store = open_database(tmp_path / "data", Options())
    server = start(store, on_uvloop=True)

    def run_ahead(linked: LinkedData) -> None:
        linked.link_families(["default"])
        linked._clock.see(far_us)
        linked.tick()
        linked._write([])

    on_loop(server, run_ahead)
    server.close()
    again = start(open_database(tmp_path / "data", Options()), on_uvloop=True)
    with redis.Redis(port=again.port, socket_timeout=10) as client:
        client.set("k", "v")
    assert stamp_of(again.store, b"k").stamp.time_us > far_us


def test_a_link_waits_for_a_command_in_pieces(server: RunningServer) -> None:
    """What such a command has read stays true until it writes."""

    def is_ready(linked: LinkedData) -> tuple[bool, bool]:
        before = linked.in_pieces
        linked.in_pieces = lambda: True
        waits = linked._is_ready()
        linked.in_pieces = before
        return waits, linked._is_ready()

    assert on_loop(server, is_ready) == (False, True)


def test_a_key_that_is_too_long_is_refused(server: RunningServer, store: Database) -> None:
    """Alone, and within a transaction, of which nothing is written then."""
    with redis.Redis(port=server.port, socket_timeout=10) as client:
        with pytest.raises(redis.ResponseError, match="at most 60000 bytes"):
            client.set("k" * 60_001, "v")
        with pytest.raises(redis.ResponseError, match="at most 60000 bytes"):
            client.pipeline().set("good", 1).set("k" * 60_001, "v").execute()
        assert client.get("good") is None
        assert client.set("k" * 60_000, "v")
