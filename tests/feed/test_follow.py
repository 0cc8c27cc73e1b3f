"""A feed and its node in one process: where it begins, what it acknowledges, when it ends."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import replicad
from replicad.daemon.parts import NodeParts
from replicad.feed.follow import PIECE_BYTES
from replicad.replication.primary.feed_slots import feed_id
from replicad.types import Position
from tests.support.nodes.programs import primary
from tests.support.waiting import until


def follow(node: NodeParts, **options: Any) -> replicad.Feed:
    return replicad.follow(str(node.addresses.clients), **options)


def write(node: NodeParts, *keys: bytes) -> Position:
    """The position after the last one."""
    assert node.store is not None
    for key in keys:
        node.store.put(key, b"v")
    return node.store.durable_position


async def keys(feed: replicad.Feed, count: int) -> list[bytes]:
    return [(await anext(feed)).operations[0].key for _ in range(count)]


def slot_of(node: NodeParts, name: str) -> Position:
    assert node.open_store.feed is not None
    return Position.parse(node.open_store.feed.feed_slots.get(name).position)


async def test_a_feed_begins_where_it_is_told_to(tmp_path: Path) -> None:
    """At the end, at the batch that holds a number, after a position."""
    async with primary(tmp_path / "a") as node:
        position = write(node, b"1", b"2")
        write(node, b"3")
        async with follow(node) as at_end, follow(node, since=3) as by_number:
            await at_end.connect()
            async with follow(node, since=position) as by_position, follow(node, since=0) as from_first:
                write(node, b"4")
                assert await keys(at_end, 1) == [b"4"]
                assert await keys(by_number, 3) == [b"2", b"3", b"4"]
                assert await keys(by_position, 2) == [b"3", b"4"]
                assert await keys(from_first, 5) == [b"of", b"1", b"2", b"3", b"4"]


async def test_an_update_has_all_that_its_batch_has(tmp_path: Path) -> None:
    """Position, commit time, operations and annotations, as `get_updates_since` gives them."""
    async with primary(tmp_path / "a") as node:
        assert node.store is not None
        batch = replicad.WriteBatch()
        batch.put_log_data(b"by alice")
        batch.put(b"k", b"v")
        batch.delete(b"l")
        node.store.write(batch)
        async with follow(node, since=2) as feed:
            update = await anext(feed)
        (same,) = node.store.get_updates_since(2)
        assert (update.position, update.commit_time) == (same.position, same.commit_time)
        assert update.annotations == [b"by alice"]
        assert [(each.kind.name, each.key) for each in update.operations] == [("PUT", b"k"), ("DELETE", b"l")]


async def test_a_slot_goes_on_after_what_was_acknowledged(tmp_path: Path) -> None:
    """At least once: what was given and not acknowledged comes again, to the next reader."""
    async with primary(tmp_path / "a") as node:
        write(node, b"1", b"2", b"3")
        async with follow(node, slot="search", since=0) as feed:
            await keys(feed, 1)
            update = await anext(feed)
            feed.acknowledge(update.position)
            await keys(feed, 1)
        assert slot_of(node, "search") == update.position
        async with follow(node, slot="search") as feed:
            assert await keys(feed, 2) == [b"2", b"3"]


async def test_acknowledgements_reach_the_slot_while_nothing_is_written(tmp_path: Path) -> None:
    """Together, within a second or so, and also for updates that were filtered out."""
    async with (
        primary(tmp_path / "a") as node,
        follow(node, slot="search", since=0, prefixes=[b"a:"]) as feed,
    ):
        await feed.connect()
        waits = asyncio.create_task(keys(feed, 1))
        newest = write(node, b"b:1", b"b:2")
        await until(lambda: slot_of(node, "search") == newest)
        write(node, b"a:1")
        assert await waits == [b"a:1"]


async def test_a_second_reader_is_refused(tmp_path: Path) -> None:
    """And may have the slot when the first has ended."""
    async with primary(tmp_path / "a") as node:
        async with follow(node, slot="search", since=0) as first:
            await keys(first, 1)
            async with follow(node, slot="search") as second:
                with pytest.raises(replicad.SlotInUseError, match="is being read from 127"):
                    await anext(second)
        async with follow(node, slot="search") as third:
            await until_free(third)


async def until_free(feed: replicad.Feed) -> None:
    """The node has seen the end of the reader before."""
    while True:
        try:
            await feed.connect()
            return
        except replicad.SlotInUseError:
            await asyncio.sleep(0)


async def test_a_slot_that_is_not_there_is_not_made_by_itself(tmp_path: Path) -> None:
    """At the end of the log it would hide what was missed; dropped under its reader it is an error, too."""
    async with primary(tmp_path / "a") as node:
        async with follow(node, slot="search") as feed:
            with pytest.raises(replicad.NotFoundError, match="no slot search"):
                await anext(feed)
        async with follow(node, slot="search", since=0) as feed:
            update = await anext(feed)
            node.served.drop_slot(feed_id("search"))
            feed.acknowledge(update.position)
            with pytest.raises(replicad.NotFoundError):
                await feed.flush()
            with pytest.raises(replicad.NotFoundError):
                await anext(feed)


async def test_a_cancelled_wait_closes_the_connection_and_loses_nothing(tmp_path: Path) -> None:
    """The next call connects again, and goes on where the last update was."""
    async with primary(tmp_path / "a") as node:
        server = node.clients.server
        assert server is not None
        async with follow(node, since=1) as feed:
            await keys(feed, 1)
            waits = asyncio.create_task(anext(feed))
            await until(lambda: len(server.state.conditions) == 1)
            waits.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waits
            await until(lambda: not server.connections)
            write(node, b"1")
            assert await keys(feed, 1) == [b"1"]


async def test_what_time_does_not_mend_is_raised(tmp_path: Path) -> None:
    """Log that is gone, another history, another database, and no user."""
    options = {"store__log_retention_bytes": 0, "store__segment_bytes": 16384, "store__memtable_bytes": 65536}
    async with primary(tmp_path / "a", **options) as node:
        position = write(node, b"1")
        wrong = Position.parse(f"1:{position.sequence}:00000000000000ff")
        async with follow(node, since=wrong) as feed:
            with pytest.raises(replicad.DivergedError):
                await anext(feed)
        async with follow(node, since=1) as feed:
            await keys(feed, 1)
            feed._database = b"x" * 16
            feed._disconnect()
            feed._ready.clear()
            with pytest.raises(replicad.WrongDatabaseError):
                await anext(feed)
        store = node.store
        assert store is not None
        for number in range(500):
            store.put(b"filler:%d" % number, b"x" * 200)
        await asyncio.to_thread(store.flush)
        store.review_retention()
        await until(lambda: store.oldest_log_sequence > 1)
        async with follow(node, since=1) as feed:
            with pytest.raises(replicad.LogGoneError, match="sequence number 1 is gone"):
                await anext(feed)


async def test_a_position_ahead_of_another_history_is_refused(tmp_path: Path) -> None:
    """Its epoch ended before the node got there: what comes some time does not follow it."""
    async with (
        primary(tmp_path / "a") as node,
        follow(node, since=Position.parse("0:99:00000000000000ff")) as feed,
    ):
        with pytest.raises(replicad.DivergedError, match="not in this node's history"):
            await asyncio.wait_for(anext(feed), 10)


async def test_a_program_that_stops_reading_holds_one_piece_of_log(tmp_path: Path) -> None:
    """Here and at the node, however much is written meanwhile."""
    async with primary(tmp_path / "a") as node:
        server, store = node.clients.server, node.store
        assert server is not None and store is not None
        async with follow(node, since=1) as feed:
            await keys(feed, 1)
            for number in range(1000):
                store.submit(_batch(number))
            await until(lambda: store.durable_sequence >= 1000)
            await keys(feed, 1)
            held = sum(update.batch.size for update in feed._ready)
            assert 0 < held <= PIECE_BYTES
            assert sum(each.buffered_bytes for each in server.connections.values()) <= PIECE_BYTES
            assert await keys(feed, 999) == [b"%d" % number for number in range(1, 1000)]


def _batch(number: int) -> replicad.WriteBatch:
    batch = replicad.WriteBatch()
    batch.put(b"%d" % number, b"x" * 4096)
    return batch
