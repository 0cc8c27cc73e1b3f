"""The slots of change feeds: made once, read by one, moved by acknowledgements, never forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from replicad.env import Env
from replicad.errors import (
    DivergedError,
    InvalidArgument,
    LogGoneError,
    NotFoundError,
    SlotInUseError,
    SlotLostError,
    TooManySessionsError,
)
from replicad.options import Options
from replicad.replication.policy.slot_states import FEEDS_MAX, SlotLimits, to_forget, to_replace
from replicad.replication.primary.feed_slots import SILENT_SECONDS_MAX, FeedReader, FeedSlots, feed_id
from replicad.replication.primary.slots import Slots
from replicad.state.records import Slot
from replicad.store.batch import WriteBatch
from replicad.store.database import Database, open_database
from replicad.types import ORIGIN, Position
from tests.support.manual_clock import ManualClock
from tests.support.waiting import eventually, until

LIMITS = SlotLimits(log_bytes_max=1 << 30, idle_seconds_max=100)


class Records:
    """What is durable in the node's state."""

    def __init__(self) -> None:
        self.slots: dict[bytes, Slot] = {}

    async def put_slot(self, slot: Slot) -> None:
        self.slots[slot.node_id] = slot

    async def remove_slot(self, node_id: bytes) -> None:
        self.slots.pop(node_id, None)


@dataclass
class World:
    store: Database
    clock: ManualClock
    slots: Slots
    records: Records = field(default_factory=Records)
    ended: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.feeds = FeedSlots(Env(clock=self.clock), self.store, self.slots, self.records)  # type: ignore[arg-type]

    def reader(self, id: str, name: str = "search") -> FeedReader:
        return FeedReader(name, id, f"127.0.0.1:{len(id)}", lambda: self.ended.append(id))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    slots = Slots([], LIMITS)
    options = Options(segment_bytes=16384, memtable_bytes=65536, log_retention_bytes=0)
    with open_database(tmp_path / "data", options, retention=slots) as store:
        for number in range(5):
            store.put(b"%d" % number, b"v")
        yield World(store, ManualClock(), slots)


def forget_log(store: Database) -> None:
    """Everything is in tables, and no log from before is left."""
    for number in range(400):
        store.put(b"filler:%d" % number, b"x" * 200)
    store.flush()
    store.review_retention()
    eventually(lambda: store.oldest_log_sequence > 100)


async def test_a_slot_begins_where_it_is_told_to(world: World) -> None:
    """At the durable end, after a position, or at the batch that holds a number; durable when it is said."""
    assert await world.feeds.create("end", None) == world.store.durable_position
    third = world.store.position_at(3)
    assert third is not None
    assert await world.feeds.create("after", third) == third
    assert await world.feeds.create("since", 4) == third
    assert await world.feeds.create("all", 0) == ORIGIN
    assert await world.feeds.create("later", 99) == world.store.durable_position
    assert world.records.slots[feed_id("after")].position == str(third)
    assert world.slots.oldest_needed() == 1


async def test_the_number_of_any_operation_names_its_batch(world: World) -> None:
    """A slot never begins within a batch."""
    before = world.store.durable_position
    batch = WriteBatch()
    for number in range(3):
        batch.put(b"batch:%d" % number, b"")
    last = world.store.write(batch)
    assert await world.feeds.create("middle", last - 1) == before


async def test_what_is_not_a_slot_is_not_made(world: World) -> None:
    """Names, positions of another history, and more slots than there may be."""
    await world.feeds.create("search", None)
    with pytest.raises(InvalidArgument, match="there is a slot search, at 1:5:"):
        await world.feeds.create("search", None)
    for name in ("", "a b", "x" * 65):
        with pytest.raises(InvalidArgument, match="not the name of a slot"):
            await world.feeds.create(name, None)
    with pytest.raises(DivergedError, match="not in this node's history"):
        await world.feeds.create("other", Position.parse("1:3:00000000000000ff"))
    assert world.slots.get(feed_id("other")) is None
    for number in range(FEEDS_MAX - 1):
        await world.feeds.create(f"feed-{number}", None)
    with pytest.raises(TooManySessionsError):
        await world.feeds.create("one-more", None)


async def test_log_that_is_gone_is_not_promised(world: World) -> None:
    """Neither by number nor by position, and nothing is held."""
    third = world.store.position_at(3)
    forget_log(world.store)
    for after in (3, third):
        with pytest.raises(LogGoneError):
            await world.feeds.create("search", after)
    assert world.slots.oldest_needed() is None


async def test_a_slot_holds_the_log_until_it_is_acknowledged(world: World) -> None:
    """What its reader has not acknowledged stays; an acknowledgement never moves it back."""
    start = await world.feeds.create("search", 0)
    reader = world.reader("a")
    assert await world.feeds.read(reader) == start
    for number in range(400):
        world.store.put(b"filler:%d" % number, b"x" * 200)
    world.store.flush()
    world.store.review_retention()
    assert world.store.oldest_log_sequence == 1

    later = world.store.durable_position
    await world.feeds.acknowledge("search", later, reader)
    await world.feeds.acknowledge("search", start, reader)
    assert world.feeds.get("search").position == str(later)
    world.store.review_retention()
    await until(lambda: world.store.oldest_log_sequence > 1)


async def test_an_acknowledgement_names_this_history(world: World) -> None:
    """Nothing that is not there can be acknowledged: the log would go before it was read."""
    await world.feeds.create("search", 0)
    for wrong in ("1:3:00000000000000ff", "1:99:00000000000000ff", "2:3:00000000000000ff"):
        with pytest.raises(DivergedError):
            await world.feeds.acknowledge("search", Position.parse(wrong), None)
    assert world.feeds.get("search").sequence == 0


async def test_a_slot_has_one_reader(world: World) -> None:
    """The second is refused with the address of the first; the first's next connection takes its place."""
    await world.feeds.create("search", 0)
    first = world.reader("a")
    await world.feeds.read(first)
    with pytest.raises(SlotInUseError, match=r"being read from 127\.0\.0\.1:1"):
        await world.feeds.read(world.reader("bb"))
    with pytest.raises(SlotInUseError):
        await world.feeds.acknowledge("search", world.store.durable_position, None)

    again = world.reader("a")
    await world.feeds.read(again)
    assert world.ended == ["a"]
    world.feeds.ended(first)
    assert world.feeds.reader_of(feed_id("search")) is again
    world.feeds.ended(again)
    await world.feeds.read(world.reader("bb"))


async def test_a_silent_reader_gives_way(world: World) -> None:
    """Its machine may be dead. Until another comes it only counts as away."""
    await world.feeds.create("search", 0)
    silent = world.reader("a")
    await world.feeds.read(silent)
    world.clock.now += SILENT_SECONDS_MAX + 1
    world.feeds.tick()
    world.slots.pass_time(60)
    assert world.feeds.get("search").idle_seconds == 60
    world.feeds.asked(silent)
    world.slots.pass_time(60)
    assert world.feeds.get("search").idle_seconds == 60

    world.clock.now += SILENT_SECONDS_MAX + 1
    await world.feeds.read(world.reader("bb"))
    assert world.ended == ["a"]


async def test_a_slot_that_let_go_says_what_to_do_when_its_log_is_gone(world: World) -> None:
    """While the files are there it is read on; then its reader learns why, and that it has to copy again."""
    await world.feeds.create("search", 3)
    world.slots.invalidate(feed_id("search"), "it held 9 bytes of log, the cap is 8")
    reader = world.reader("a")
    await world.feeds.read(reader)
    world.feeds.ended(reader)
    forget_log(world.store)
    with pytest.raises(SlotLostError, match=r"is lost \(it held 9 bytes of log.*copy the data again"):
        await world.feeds.read(world.reader("a"))


async def test_a_reader_that_has_more_than_the_node_learns_so(world: World) -> None:
    """Its node lost the history that it acknowledged, and the log goes on in another one."""
    await world.feeds.create("search", None)
    for number in range(3):
        world.store.put(b"later:%d" % number, b"")
    lost = Position.parse(str(world.store.durable_position).replace(":8:", ":9:"))
    world.slots.advance(feed_id("search"), 9, 1, position=str(lost))
    world.slots.clamp(8)
    with pytest.raises(DivergedError, match="not in this node's history"):
        await world.feeds.read(world.reader("a"))


async def test_a_dropped_slot_is_no_more(world: World) -> None:
    """Its reader hears so when it acknowledges."""
    await world.feeds.create("search", 0)
    reader = world.reader("a")
    await world.feeds.read(reader)
    world.slots.drop(feed_id("search"))
    world.feeds.dropped(feed_id("search"))
    with pytest.raises(NotFoundError, match="no slot search"):
        await world.feeds.acknowledge("search", world.store.durable_position, reader)
    with pytest.raises(NotFoundError):
        await world.feeds.read(reader)


async def test_no_slot_of_a_feed_is_ever_forgotten(world: World) -> None:
    """A reader that came back and got a new slot would not know what it missed."""
    await world.feeds.create("search", 0)
    world.slots.pass_time(100 * 86400)
    world.slots.invalidate(feed_id("search"), "its reader was away")
    slots = world.slots.all()
    assert to_forget(slots, (), LIMITS) == []
    assert to_replace(slots, (), ()) is None


async def test_the_log_of_a_feed_does_not_wait_for_its_reader(world: World) -> None:
    """It asks for each piece, and finds it or hears that it is gone: no session has to be ended first."""
    await world.feeds.create("search", 0)
    await world.feeds.read(world.reader("a"))
    world.slots.invalidate(feed_id("search"), "over its cap")
    assert world.slots.oldest_needed() is None
    assert world.slots.to_end() == []
