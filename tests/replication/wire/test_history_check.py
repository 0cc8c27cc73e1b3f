"""Positions in heartbeats are held against this node's own history."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from replicad.errors import DivergedError, ProtocolError
from replicad.replication.wire.history_check import HistoryCheck
from replicad.replication.wire.messages import Heartbeat
from replicad.types import Epoch, HistoryHash, Position, Sequence
from tests.replication.test_stream import stream
from tests.support.replication.fake_store import FakeStore
from tests.support.waiting import until


def position(sequence: int, history_hash: int = 7, epoch: int = 1) -> Position:
    return Position(Epoch(epoch), Sequence(sequence), HistoryHash(history_hash))


def other(here: Position) -> Position:
    return replace(here, history_hash=HistoryHash(here.history_hash ^ 1))


def written(*batches: list[bytes]) -> FakeStore:
    store = FakeStore()
    for batch in batches:
        store.write(*batch)
    return store


@pytest.mark.parametrize(
    ("theirs", "good"),
    [
        (position(5), True),
        (position(5, 8), False),
        (position(5, epoch=2), False),
        (position(4, 8), True),  # Nothing is known of what was before.
        (position(6, 8), True),  # Not yet.
    ],
)
def test_at_one_sequence_number(theirs: Position, good: bool) -> None:
    """At the sequence number of both, epoch and hash must be the same."""
    check = HistoryCheck()
    if good:
        check.heard(theirs, position(5))
    else:
        with pytest.raises(DivergedError, match="says it is at"):
            check.heard(theirs, position(5))


def test_what_is_not_applied_yet_is_compared_later() -> None:
    """The frames that lead to the primary's position must lead to just that one, wherever chunks are cut."""
    store = written([b"a"], [b"b", b"c"], [b"d"])
    frames = b"".join(frame.data for frame in store.frames)
    inside = store.frames[1].after
    check = HistoryCheck()
    check.heard(inside, position(0, 0))
    check.applied(frames, store.position)
    check.heard(other(inside), position(0, 0))
    with pytest.raises(DivergedError):
        check.applied(frames, store.position)
    check.applied(frames, store.position)  # It is told once.


async def test_an_idle_replica_notices_at_once() -> None:
    """Between two nodes with nothing to send, the first heartbeat of another history ends the session."""
    primary, replica = written([b"1"]), FakeStore()
    async with stream(primary, replica) as running:
        await until(lambda: replica.position == primary.position)
        running.left.send(Heartbeat(primary.position, 1))
        await until(lambda: len(running.primary_seen) >= 2)
        running.left.send(Heartbeat(other(primary.position), 2))
        with pytest.raises(DivergedError):
            await asyncio.wait_for(running.receiving, 5)


def same_position(one: FakeStore, other: FakeStore) -> bool:
    return one.position == other.position


async def test_a_primary_notices_as_well() -> None:
    """A replica that says another hash, or more than was sent, is told so; what it had before is fine."""
    for wrong, error in ((0, DivergedError), (-1, DivergedError), (1, ProtocolError)):
        primary, replica = written([b"1"], [b"2"], [b"3"]), FakeStore()
        async with stream(primary, replica) as running:
            await until(partial(same_position, replica, primary))
            for frame in primary.frames:
                running.right.send(Heartbeat(frame.after, 1))
            running.right.send(Heartbeat(position(0, 0, 0), 1))
            bad = other(primary.position) if wrong == 0 else other(primary.frames[1].after)
            running.right.send(Heartbeat(bad if wrong <= 0 else position(9), 1))
            with pytest.raises(error):
                await asyncio.wait_for(running.sending, 5)
