"""How old a replica takes its data to be, over whole sessions."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from replicad.replication.wire.messages import Heartbeat, Message
from tests.support.replication.fake_nodes import OPTIONS, FakeData, Primary, Replica, running
from tests.support.replication.fake_store import FakeStore
from tests.support.replication.memory_connection import MemoryConnection
from tests.support.waiting import until


def written(count: int) -> FakeStore:
    store = FakeStore()
    for number in range(count):
        store.write(b"value %d" % number)
    return store


def age(replica: Replica) -> float:
    """Of what is visible; very old when that is not known."""
    seconds = replica.follower.ages.staleness_seconds
    return 1e9 if seconds is None else seconds


def heartbeats_in(messages: list[Message]) -> int:
    return sum(isinstance(message, Heartbeat) for message in messages)


async def heartbeats(end: MemoryConnection, count: int) -> None:
    """Waits until this end has sent so many more, and the other has taken them."""
    wanted = heartbeats_in(end.sent) + count
    await until(lambda: heartbeats_in(end.sent) >= wanted)
    assert end.other is not None
    await until(end.other.inbox.empty)


async def test_data_is_not_younger_than_that_of_the_node_above(tmp_path: Path) -> None:
    """Its age is added; while it does not know it, nothing here gets any younger."""
    primary = Primary(written(3), tmp_path / "p")
    replica = Replica(primary, FakeData(FakeStore()), tmp_path / "r")
    async with running(replica, primary):
        await until(lambda: age(replica) < 0.5)
        primary.age_seconds = 70.0
        primary.store.write(b"more")
        await until(lambda: replica.data.store is not None and replica.data.store.latest_sequence == 4)
        first = age(replica)
        await heartbeats(primary.ends[0], 5)
        assert first < age(replica) < 5.0, "what it knew before is still true"
        other = Replica(primary, FakeData(FakeStore()), tmp_path / "o", node=b"O" * 16, process=b"o" * 16)
        async with running(other):
            await until(lambda: 70.0 <= age(other) < 75.0)
            primary.age_seconds = None
            before = age(other)
            await heartbeats(primary.ends[1], 5)
            assert age(other) > before
            primary.age_seconds = 0.0
            await until(lambda: age(other) < 0.5)


async def test_the_time_that_a_message_is_on_its_way_counts(tmp_path: Path) -> None:
    """A heartbeat that comes late says how it was, and the replica knows how long ago that may be."""
    primary = Primary(written(3), tmp_path / "p")
    replica = Replica(primary, FakeData(FakeStore()), tmp_path / "r")
    async with running(replica, primary):
        await until(lambda: age(replica) < 0.5 and replica.follower.link.state == "streaming")
        (end,) = primary.ends
        late: list[bytes] = []
        end.meddle = late.append
        await until(lambda: late)
        said = len(late)
        # Not a wait for something to happen: the message is on its way for so long.
        await asyncio.sleep(0.3)
        assert end.other is not None
        for data in late[:said]:
            end.other.arrived(data)
        heard = end.other.inbox
        await until(heard.empty)
        assert 0.3 <= age(replica) < 5.0


async def test_heartbeats_are_answered_but_not_as_many_as_somebody_likes(tmp_path: Path) -> None:
    """Each of a replica's is answered at once; of a flood, two in an interval."""
    primary = Primary(written(3), tmp_path / "p")
    replica = Replica(primary, FakeData(FakeStore()), tmp_path / "r")
    async with running(replica, primary):
        await until(lambda: age(replica) < 0.5 and replica.follower.link.state == "streaming")
        (end,) = primary.ends
        assert end.other is not None
        began, before = time.monotonic(), len(end.sent)
        for _ in range(500):
            end.other.send(Heartbeat(primary.store.position, 1, sent_us=7))
        await until(lambda: end.inbox.empty() and heartbeats_in(end.sent[before:]))
        answered = heartbeats_in(end.sent[before:])
        assert answered <= 3 * (time.monotonic() - began) / OPTIONS.heartbeat_seconds + 2


async def test_a_primary_that_went_back_is_believed_anew(tmp_path: Path) -> None:
    """Where the node above is at an earlier position after a break, the replica is fresh when it has that."""
    primary = Primary(written(50), tmp_path / "p")
    start = primary.store.frames[9].after
    store = FakeStore()
    for frame in primary.store.frames[:10]:
        store.apply_frames(frame.data)
    data = FakeData(store)
    replica = Replica(primary, data, tmp_path / "r")
    store.stalled = "a test"
    async with running(replica, primary):
        await until(lambda: replica.follower.link.primary_sequence == 50)
        primary.up = False
        for end in primary.ends:
            # A replica that waits for its store reads nothing: it notices the silence, not the end.
            assert end.other is not None
            end.other.silent_for = 2 * OPTIONS.idle_seconds
        primary.cut()
        await until(lambda: replica.follower.link.state == "waiting")
        primary.store.cut_back(start)
        store.stalled = None
        primary.up = True
        await until(lambda: age(replica) < 0.5 and replica.follower.ages.lag_seconds == 0.0)
        assert store.position == start
