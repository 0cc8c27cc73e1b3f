"""Whoever says HELLO and leaves: nothing of it stays, and nobody who is a replica loses anything by it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import replicad.replication.copy.copies
import replicad.replication.primary.copying
import replicad.replication.primary.node
from replicad.replication.copy.copies import SourceCopy
from replicad.replication.wire.messages import Copy, Decided, Hello, Message, PositionClaim, Refuse
from replicad.types import Position
from tests.support.replication.fake_nodes import FakeData, Primary, Replica, running
from tests.support.replication.fake_store import FakeStore
from tests.support.waiting import until


def written(count: int) -> FakeStore:
    store = FakeStore()
    for number in range(count):
        store.write(b"value %d" % number)
    return store


async def come(primary: Primary, node: bytes, at: Position | None, until_kind: type[Message]) -> Message:
    """Says HELLO and CLAIM, waits for such a message, and leaves."""
    connection = await primary.dial()
    connection.send(Hello((1,), node, node, primary.store.database_id, (), "x"))
    connection.send(PositionClaim(at, 0, ()))
    while not isinstance(message := await connection.receive(), until_kind | Refuse):
        pass
    connection.close()
    return message


async def gone(primary: Primary) -> None:
    await until(lambda: not primary.node.sessions)


async def test_nothing_stays_of_who_leaves_at_once(tmp_path: Path) -> None:
    """No slot, and no copy after the next tick, whether a stream or a copy was offered."""
    primary = Primary(written(10), tmp_path / "p")
    async with running(primary):
        for number in range(20):
            await come(primary, b"%016d" % number, primary.store.position, Decided)
            await come(primary, b"c%015d" % number, None, Copy)
        await gone(primary)
        await primary.node.tick()
        assert primary.node.slots.all() == ()
        assert len(primary.node.copies) == 0
        assert primary.records.slots == {}


async def test_a_replica_that_was_cut_off_keeps_its_slot(tmp_path: Path) -> None:
    """It has acknowledged something, once."""
    primary, data = Primary(written(10), tmp_path / "p"), FakeData()
    replica = Replica(primary, data, tmp_path / "r")
    async with running(primary, replica):
        await until(lambda: data.store is not None and data.store.position == primary.store.position)
        await until(lambda: any(slot.acknowledged for slot in primary.node.slots.all()))
        await replica.end()
        await gone(primary)
        await primary.node.tick()
        assert len(primary.node.slots.all()) == 1


async def test_slots_and_copies_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more takes the place of the one worth least; while all are in use it is told to come again."""
    monkeypatch.setattr(replicad.replication.primary.node, "SLOTS_MAX", 2)
    monkeypatch.setattr(replicad.replication.primary.copying, "COPIES_MAX", 2)
    primary = Primary(written(10), tmp_path / "p")
    held = []
    async with running(primary):
        for number in range(3):
            primary.node.slots.hold(b"%016d" % number, 5, 1)
            if number < 2:
                continue
            primary.node.slots.drop(b"%016d" % number)
        for number in range(2):
            connection = await primary.dial()
            node = b"n%015d" % number
            connection.send(Hello((1,), node, node, None, (), "x"))
            connection.send(PositionClaim(None, 0, ()))
            while not isinstance(await connection.receive(), Copy):
                pass
            held.append(connection)
        assert len(primary.node.slots.all()) == 2
        assert isinstance(refused := await come(primary, b"m" * 16, None, Copy), Refuse)
        assert (refused.code, refused.retry) == ("busy", True)
        for connection in held:
            connection.close()
        await gone(primary)
        assert isinstance(await come(primary, b"m" * 16, None, Copy), Copy)


def test_copies_come_and_go_while_they_are_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session makes its copy in a thread while the loop looks for those that nobody uses."""
    primary = Primary(written(10), tmp_path / "p")
    copies, coming = primary.node.copies, iter(range(10))

    class Meddled(SourceCopy):
        """At each look one more is made and an older one removed, as by two threads."""

        @property
        def in_use(self) -> bool:
            if (number := next(coming, None)) is not None:
                copies.remove(copies.make(b"a%015d" % number))
                copies.make(b"b%015d" % number)
            return False

        @in_use.setter
        def in_use(self, value: bool) -> None: ...

    monkeypatch.setattr(replicad.replication.copy.copies, "SourceCopy", Meddled)
    first = copies.make(b"f" * 16)
    copies.make(b"s" * 16)
    assert copies.least_used() is first
    assert copies.unused(-1.0)[0] is first
    assert next(coming, None) is not None


async def test_a_replica_made_anew_takes_its_name_with_it(tmp_path: Path) -> None:
    """The slot of the one before, which nobody comes back for, goes when the new one acknowledges."""
    primary, data = Primary(written(10), tmp_path / "p"), FakeData()
    primary.node.slots.hold(b"o" * 16, 1, 1, name="paris-2")
    primary.node.slots.advance(b"o" * 16, 1, 1)
    replica = Replica(primary, data, tmp_path / "r")
    replica.follower._identity = type(replica.follower._identity)(b"R" * 16, b"r" * 16, "paris-2")
    async with running(primary, replica):
        await until(lambda: primary.node.slots.get(b"o" * 16) is None)
        assert primary.node.slots.get(b"R" * 16) is not None
        await asyncio.sleep(0)
