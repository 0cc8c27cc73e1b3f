"""What links make of a primary's data, on one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
import redis

from replicad.env.clock import SystemClock
from replicad.errors import InvalidArgument
from replicad.options import Options
from replicad.replication.links.merge import UNSTAMPED, LinkBroken, LinkOperation
from replicad.replication.links.options import LinkOptions
from replicad.replication.links.records import (
    ORIGINS,
    STAMPS,
    OriginRecord,
    decode_key_stamp,
    decode_origin,
    stamp_key,
)
from replicad.replication.links.seeding import KeyRange, SeedPlace
from replicad.replication.links.stamps import Stamp
from replicad.server.link_clock import LinkClock
from replicad.server.link_records import new_record
from replicad.server.link_seeds import LinkSeeds
from replicad.server.linked_data import LinkedData
from replicad.store.database import Database, open_database
from tests.server.conftest import StartServer
from tests.server.harness import FakeNode, RunningServer
from tests.support.waiting import eventually

Found = TypeVar("Found")
RECORD = new_record(LinkOptions(source="127.0.0.1:1"))


@pytest.fixture
def store(tmp_path: Path) -> Database:
    return open_database(tmp_path / "data", Options())


@pytest.fixture
def server(start: StartServer, store: Database) -> RunningServer:
    running = start(store, on_uvloop=True)
    on_loop(running, lambda linked: linked.link_families(["default"]))
    return running


def awaited(server: RunningServer, function: Callable[[LinkedData], Coroutine[Any, Any, Found]]) -> Found:
    state = server.server.state
    return asyncio.run_coroutine_threadsafe(function(state.linked), state.loop).result(10)


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
        client.pipeline().set("e", 1).delete("b").execute()
        client.append("d", "x")
        client.set("large", "x" * 70_000)
    assert first.stamp.origin == store.database_id and not first.is_deleted
    assert stamp_of(store, b"a").stamp > first.stamp
    assert stamp_of(store, b"c").is_deleted and stamp_of(store, b"b").is_deleted
    assert stamp_of(store, b"b").stamp == stamp_of(store, b"e").stamp < stamp_of(store, b"d").stamp
    clock = decode_origin(store.get(store.database_id, family=store.families[ORIGINS]) or b"")
    assert clock.frontier_us == stamp_of(store, b"large").stamp.time_us


def test_the_clock_goes_on_in_a_new_process(start: StartServer, tmp_path: Path) -> None:
    """Whatever the wall clock says then."""
    far_us = 9_000_000_000_000_000
    store = open_database(tmp_path / "data", Options())
    server = start(store, on_uvloop=True)

    def run_ahead(linked: LinkedData) -> None:
        linked.link_families(["default"])
        linked.see([far_us])
        linked.move_clock()

    on_loop(server, run_ahead)
    server.close()
    again = start(open_database(tmp_path / "data", Options()), on_uvloop=True)
    with redis.Redis(port=again.port, socket_timeout=10) as client:
        client.set("k", "v")
    assert stamp_of(again.store, b"k").stamp.time_us > far_us


def test_a_link_waits_for_a_command_in_pieces(server: RunningServer) -> None:
    """What such a command has read stays true until it writes."""

    def is_ready(linked: LinkedData) -> tuple[bool, bool]:
        before = linked.stands_still
        linked.stands_still = lambda: True
        waits = linked.is_ready()
        linked.stands_still = before
        return waits, linked.is_ready()

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


def test_times_that_cannot_be_are_not_taken(server: RunningServer) -> None:
    """The clock of this primary would follow them for ever."""
    source = b"s" * 16
    far_us = (1 << 64) - 1

    async def seed(linked: LinkedData, frontier_us: int, time_us: int, horizon_us: int = 0) -> None:
        place = SeedPlace(
            source, 1, 5, {source: OriginRecord(1, 5, frontier_us)}, horizon_us, family="default"
        )
        part = [LinkOperation("default", b"k", b"v", Stamp(time_us, source))]
        linked.set_link("a", RECORD)
        await LinkSeeds(linked).merge("a", place, "default", KeyRange(None, None), part)

    for times in ((far_us, 5), (5, far_us), (5, 5, far_us)):
        with pytest.raises(LinkBroken, match="ahead of the clock here"):
            awaited(server, lambda linked, times=times: seed(linked, *times))  # type: ignore[misc]
    awaited(server, lambda linked: seed(linked, 5, 5))


def test_a_family_that_is_not_linked_here_is_left_alone(server: RunningServer) -> None:
    """A source may link more, or say so."""
    source = b"s" * 16

    async def seed(linked: LinkedData) -> int:
        place = SeedPlace(source, 1, 5, {}, family="other")
        part = [LinkOperation("other", b"k", b"v", Stamp(5, source))]
        linked.set_link("a", RECORD)
        return await LinkSeeds(linked).merge("a", place, "other", KeyRange(None, None), part)

    assert awaited(server, seed) > 0
    with redis.Redis(port=server.port, socket_timeout=10) as client:
        assert client.get("k") is None


def test_what_replicas_lack_is_not_safe(start: StartServer, tmp_path: Path) -> None:
    """A failover could lose it: no link ships it, and none acknowledges it."""
    node = FakeNode(rule="any 1")
    server = start(open_database(tmp_path / "data", Options()), node, on_uvloop=True)
    on_loop(server, lambda linked: linked.link_families(["default"]))
    last = server.store.appended_sequence
    eventually(lambda: server.store.durable_sequence >= last)
    assert on_loop(server, lambda linked: (linked.safe_through, linked.is_safe(last))) == (0, False)


def test_what_a_newcomer_holds_alone_is_new_to_all(start: StartServer, tmp_path: Path) -> None:
    """Within the keys of the part it gets stamps; what the source holds takes the place of its own."""
    store = open_database(tmp_path / "data", Options())
    for key in (b"a", b"b", b"z"):
        store.put(key, b"mine")
    server = start(store, on_uvloop=True)
    source = b"s" * 16

    async def seed(linked: LinkedData) -> None:
        linked.link_families(["default"])
        place = SeedPlace(source, 1, 5, {source: OriginRecord(1, 5, 5)}, family="default", after=b"m")
        part = [LinkOperation("default", b"b", b"theirs", UNSTAMPED)]
        linked.set_link("a", RECORD)
        await LinkSeeds(linked).merge("a", place, "default", KeyRange(None, b"m"), part)

    awaited(server, seed)
    eventually(lambda: store.get(b"b") == b"theirs")
    eventually(lambda: stamp_of(store, b"a") is not None)
    assert stamp_of(store, b"a").stamp.origin == store.database_id
    assert stamp_of(store, b"b") is None and stamp_of(store, b"z") is None
    assert (store.get(b"a"), store.get(b"z")) == (b"mine", b"mine")


def test_a_link_that_is_removed_during_its_seed_stays_removed(server: RunningServer) -> None:
    source = b"s" * 16
    place = SeedPlace(source, 1, 5, {}, family="default")

    async def seed(linked: LinkedData) -> None:
        seeds = LinkSeeds(linked)
        with pytest.raises(LinkBroken, match="was removed"):
            await seeds.merge("gone", place, "default", KeyRange(None, None), [])
        with pytest.raises(LinkBroken, match="was removed"):
            seeds.finish("gone", place)
        assert linked.links() == {}

    awaited(server, seed)


def test_who_has_its_own_data_to_come_is_no_source_yet(server: RunningServer) -> None:
    """Of two that wait for each other, the one with the smaller id goes first."""
    smaller, larger = bytes(16), b"\xff" * 16

    def ask(linked: LinkedData) -> list[str | None]:
        def code(asker: bytes, *, is_member: bool = False) -> str | None:
            refusal = linked.why_not(asker, is_member=is_member)
            return None if refusal is None else refusal.code

        assert (code(larger), code(larger, is_member=True)) == (None, "join-first")
        linked.set_link("a", {"source": "127.0.0.1:1", "families": ["default"], "seeds": 0})
        found = [code(larger)]
        linked.refused = lambda: {f"joining-{larger.hex()}", f"joining-{smaller.hex()}"}
        return [*found, code(larger), code(smaller)]

    own = on_loop(server, lambda linked: linked.own.hex())
    assert on_loop(server, ask) == [f"joining-{own}", None, f"joining-{own}"]


def test_families_are_linked_with_the_first_link(server: RunningServer, store: Database) -> None:
    """What a later one holds would have no stamps that anything is compared with."""
    store.create_family("late")

    def link(linked: LinkedData) -> None:
        linked.link_families(["default"])
        with pytest.raises(InvalidArgument, match="late cannot be linked any more"):
            linked.link_families(["default", "late"])

    async def introduce(linked: LinkedData) -> None:
        await linked.introduce(b"m" * 16, ["default"])

    awaited(server, introduce)
    eventually(lambda: on_loop(server, lambda linked: linked.is_member))
    on_loop(server, link)


def test_a_wall_clock_that_jumps_ahead_is_not_believed(server: RunningServer, store: Database) -> None:
    """Its stamps would be ahead of everybody's for as long; a clock that comes back is believed again."""
    clock = WallClock()
    link_clock = LinkClock(server.server.state.group, clock, jump_seconds_max=600.0)
    first = link_clock.tick()
    clock.ahead_us = 86_400_000_000
    assert link_clock.tick() - first < 600_000_000
    clock.ahead_us = 0
    assert link_clock.tick() - first < 600_000_000
    clock.ahead_us = 300_000_000
    assert 200_000_000 < link_clock.tick() - first < 600_000_000


class WallClock(SystemClock):
    ahead_us = 0

    def wall_us(self) -> int:
        return super().wall_us() + self.ahead_us
