"""The log that a primary holds for one replica: from where, until when, and what of it is remembered."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import pytest

from replicad.replication.copy.copies import SourceCopy
from replicad.replication.primary.feed_slots import feed_id
from replicad.replication.wire.messages import Ack, Data, Fetch, Files, Hello, PositionClaim, Refuse
from replicad.state.records import Slot
from replicad.types import Position
from tests.replication.test_sessions import caught_up, written
from tests.support.replication.fake_nodes import OPTIONS, FakeData, Primary, Replica, running
from tests.support.replication.fake_store import FakeStore
from tests.support.waiting import until

NODE = b"R" * 16


def puts_of(primary: Primary) -> list[Slot]:
    """The slots as they are saved from now on."""
    found: list[Slot] = []
    put = primary.records.put_slot

    async def noted(slot: Slot) -> None:
        found.append(slot)
        await put(slot)

    primary.records.put_slot = noted  # type: ignore[method-assign]
    return found


async def test_a_slot_follows_what_its_replica_holds_durably(tmp_path: Path) -> None:
    """What it received and applied a loss of power may take from it: its syncs move the slot."""
    primary, store = Primary(written(5), tmp_path / "p"), FakeStore(auto_sync=False)
    frames = [frame.data for frame in primary.store.frames]
    store.apply_frames(b"".join(frames[:2]))
    store.sync()
    store.apply_frames(b"".join(frames[2:4]))
    saved = puts_of(primary)
    replica = Replica(primary, FakeData(store), tmp_path / "r")
    async with running(replica, primary):
        await until(lambda: any(s.sender and s.sender.ack == Ack(5, 5, 2) for s in _sessions(primary)))
        assert [slot.sequence for slot in saved] == [2]
        assert primary.node.slots.oldest_needed() == 3
        store.sync()
        await until(lambda: primary.node.slots.oldest_needed() == 6)


def _sessions(primary: Primary) -> list:  # type: ignore[type-arg]
    return list(primary.node.sessions.values())


async def test_log_is_held_from_before_a_copy_is_cut(tmp_path: Path) -> None:
    """Until the replica's first acknowledgement, and so that a restart in between remembers it: what was
    written while the copy was made comes next."""
    primary = Primary(written(10), tmp_path / "p")
    saved, held, make = puts_of(primary), [], primary.store.create_base_copy

    def make_beside_a_writer(path: Path) -> Position:
        held.append(primary.node.slots.oldest_needed())
        position = make(path)
        primary.store.write(b"meanwhile")
        return position

    primary.store.create_base_copy = make_beside_a_writer  # type: ignore[method-assign]
    replica = Replica(primary, FakeData(), tmp_path / "r")
    async with running(replica, primary):
        await until(lambda: replica.data.store is not None)
        assert held == [11]
        assert [slot.sequence for slot in saved[:2]] == [10, 10]
        await until(lambda: caught_up(replica, primary))


async def test_the_slot_of_a_copy_that_expired_holds_nothing(tmp_path: Path) -> None:
    """Its replica went away in the middle of a bootstrap, and nobody read the copy for long."""
    primary = Primary(written(3), tmp_path / "p")
    copy = primary.node.copies.make(NODE)
    primary.node.slots.hold(NODE, copy.position.sequence, 1)
    copy.used_at -= 4000
    await primary.node.tick()
    assert primary.node.slots.oldest_needed() is None
    slot = primary.node.slots.get(NODE)
    assert slot is not None and "given up" in str(slot.invalid)


async def test_a_copy_that_cannot_be_removed_keeps_nothing_else_from_being_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its slot holds nothing all the same, and other copies go."""
    primary = Primary(written(3), tmp_path / "p")
    copies = [primary.node.copies.make(node_id * 16) for node_id in (b"A", b"B")]
    for copy in copies:
        primary.node.slots.hold(copy.node_id, copy.position.sequence, 1)
        copy.used_at -= 4000
    remove = primary.node.copies.remove

    def removed(copy: SourceCopy) -> None:
        if copy is copies[0]:
            raise OSError(errno.EMFILE, "Too many open files")
        remove(copy)

    monkeypatch.setattr(primary.node.copies, "remove", removed)
    await primary.node.tick()
    assert primary.node.slots.oldest_needed() is None
    assert not copies[1].path.exists()


async def test_an_idle_primary_lets_go_of_what_no_slot_needs(tmp_path: Path) -> None:
    """Nobody writes, so no rotation asks: the store is told when the slots need less."""
    primary = Primary(written(5), tmp_path / "p")
    replica = Replica(primary, FakeData(FakeStore()), tmp_path / "r")
    async with running(replica, primary):
        await until(lambda: primary.node.slots.oldest_needed() == 6)
        await primary.node.tick()
        before = primary.store.reviews
        primary.node.drop_slot(NODE)
        await primary.node.tick()
        assert primary.store.reviews > before


@pytest.mark.parametrize(
    "fetch", [Fetch(99, 0), Fetch(0, 1 << 40), Fetch(0, 0, 1 << 40), Fetch(0, (1 << 64) - 1, (1 << 64) - 1)]
)
async def test_only_bytes_of_the_list_are_sent(tmp_path: Path, fetch: Fetch) -> None:
    """A replica that asks for another file, or for bytes that a file has not, gets none and is told so."""
    primary = Primary(written(3), tmp_path / "p")
    async with running(primary):
        connection = await primary.dial()
        connection.send(Hello((1,), NODE, b"r" * 16, None, (), ""))
        connection.send(PositionClaim(None, 0, ()))
        while not isinstance(await connection.receive(), Files):
            pass
        connection.send(fetch)
        await until(lambda: primary.tasks[0].done())
        assert isinstance(primary.ends[0].sent[-1], Refuse)
        assert not any(isinstance(message, Data) for message in primary.ends[0].sent)


async def test_a_slot_that_lets_go_ends_its_session(tmp_path: Path) -> None:
    """Its log may go only then: a replica that reads too slowly is told why, and never meets a gap."""
    primary = Primary(written(3), tmp_path / "p", replace(OPTIONS, slot_log_bytes_max=2000))
    store = FakeStore()
    replica = Replica(primary, FakeData(store), tmp_path / "r")
    async with running(replica, primary):
        await until(lambda: caught_up(replica, primary))
        store.stalled = "level 0 is full"
        for _ in range(50):
            primary.store.write(b"v" * 200)
        await primary.node.tick()
        (told,) = (message for message in primary.ends[0].sent if isinstance(message, Refuse))
        assert told.code == "slot" and "the cap is 2000" in told.reason and told.retry
        await until(lambda: primary.tasks[0].done())
        assert primary.node.slots.oldest_needed() is None


async def test_the_slot_of_a_feed_is_not_that_of_a_replica_of_its_name(tmp_path: Path) -> None:
    """A replica that was made anew takes the place of the one before it, and not of a feed."""
    primary = Primary(written(5), tmp_path / "p")
    position = primary.store.durable_position
    slots = primary.node.slots
    slots.hold(feed_id("paris"), position.sequence, 1, name="paris", position=str(position))
    slots.hold(b"older paris 1234", 0, 1, name="paris")
    replica = Replica(primary, FakeData(), tmp_path / "r", name="paris")
    async with running(replica, primary):
        await until(lambda: caught_up(replica, primary) and slots.get(b"older paris 1234") is None)
        assert slots.get(feed_id("paris")) is not None
