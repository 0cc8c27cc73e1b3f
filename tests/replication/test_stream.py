"""A sender and a receiver over a connection in memory."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from replicad.errors import GapError, LogGoneError, PoisonedError, ProtocolError
from replicad.replication.intake import DirectIntake
from replicad.replication.options import ReplicationOptions
from replicad.replication.primary.sender import Sender
from replicad.replication.replica.receiver import Receiver
from replicad.replication.wire.messages import Ack, LogFrames
from tests.support.replication.fake_store import FakeStore
from tests.support.replication.memory_connection import pair
from tests.support.waiting import let_tasks_run, until

OPTIONS = ReplicationOptions(chunk_bytes=1000, window_bytes=4000)


class Stream:
    """Both sides, running."""

    def __init__(self, primary: FakeStore, replica: FakeStore, options: ReplicationOptions = OPTIONS) -> None:
        self.primary, self.replica = primary, replica
        self.left, self.right = pair()
        for end in (self.left, self.right):
            end.allow_payloads(1 << 28)
        self.acks: list[Ack] = []
        self.primary_seen: list[int] = []
        at = replica.position.sequence
        self.sender = Sender(
            primary.as_database(),
            self.left,
            options,
            sequence=at,
            durable=replica.durable_sequence,
            on_ack=self.acks.append,
            now=time.monotonic,
        )
        self.receiver = Receiver(
            DirectIntake(replica.as_database()),
            self.right,
            options,
            on_primary=lambda sequence, _: self.primary_seen.append(sequence),
        )
        self.sending = asyncio.create_task(self.sender.run())
        self.receiving = asyncio.create_task(self.receiver.run())

    async def end(self) -> None:
        for task in (self.sending, self.receiving):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task


@contextlib.asynccontextmanager
async def stream(
    primary: FakeStore, replica: FakeStore, options: ReplicationOptions = OPTIONS
) -> AsyncIterator[Stream]:
    running = Stream(primary, replica, options)
    try:
        yield running
    finally:
        await running.end()
        assert all(cursor.closed for cursor in primary.cursors)
        assert primary.callbacks == replica.callbacks == []


async def test_a_replica_catches_up_and_follows() -> None:
    """What was written before and what is written during the stream arrives, byte for byte."""
    primary, replica = FakeStore(), FakeStore()
    for number in range(100):
        primary.write(b"v" * number)
    async with stream(primary, replica) as running:
        await until(lambda: replica.position == primary.position)
        for number in range(50):
            primary.write(b"w" * number, b"x")
            if number % 10 == 0:
                await asyncio.sleep(0)
        await until(lambda: replica.position == primary.position)
        assert [frame.data for frame in replica.frames] == [frame.data for frame in primary.frames]
        last = primary.position.sequence
        await until(lambda: running.sender.ack == Ack(last, last, last))
        assert running.sender.window_bytes == 0


async def test_only_durable_batches_are_sent() -> None:
    """A batch that the primary has not synced stays there until it has."""
    primary, replica = FakeStore(auto_sync=False), FakeStore()
    async with stream(primary, replica) as running:
        primary.write(b"1")
        primary.sync()
        await until(lambda: replica.position.sequence == 1)
        primary.write(b"2")
        await until(lambda: running.sender.waits_for == "the next write")
        await let_tasks_run()
        assert replica.position.sequence == 1
        primary.sync()
        await until(lambda: replica.position.sequence == 2)


async def test_durable_is_acknowledged_apart_from_applied() -> None:
    """The replica says at once what it applied, and later, on its own, what it synced."""
    primary, replica = FakeStore(), FakeStore(auto_sync=False)
    async with stream(primary, replica) as running:
        primary.write(b"1")
        await until(lambda: running.sender.ack == Ack(1, 1, 0))
        replica.sync()
        await until(lambda: running.sender.ack == Ack(1, 1, 1))


async def test_what_somebody_waits_for_is_synced_at_once() -> None:
    """Without ASK the store syncs when it suits; with it the store hurries, also for what comes later."""
    primary, replica = FakeStore(), FakeStore(auto_sync=False)
    async with stream(primary, replica) as running:
        primary.write(b"1")
        await until(lambda: running.sender.ack == Ack(1, 1, 0))
        assert not replica.hurried
        running.sender.ask(2)
        await until(lambda: replica.hurried)
        replica.sync()
        await until(lambda: running.sender.ack == Ack(1, 1, 1))
        replica.hurried = False
        primary.write(b"2")
        await until(lambda: replica.hurried)


async def test_a_stalled_replica_stops_the_primary_at_its_window() -> None:
    """While the replica's store stalls, no more than the window and one chunk is on its way."""
    primary, replica = FakeStore(), FakeStore(stalled="level 0 is full")
    for _ in range(200):
        primary.write(b"v" * 200)
    async with stream(primary, replica) as running:
        await until(lambda: running.sender.waits_for.startswith("the replica"))
        assert running.receiver.waits_for == "the store: level 0 is full"
        assert running.sender.window_bytes <= OPTIONS.window_bytes + OPTIONS.chunk_bytes
        await until(lambda: running.sender.ack.received > running.sender.ack.applied == 0)
        replica.stalled = None
        replica.notify()
        await until(lambda: replica.position == primary.position)


async def test_acknowledgements_are_collected_unless_somebody_asks() -> None:
    """Without ASK one acknowledgement answers many batches; with it each is told at once."""
    options = ReplicationOptions(ack_seconds=30.0)
    primary, replica = FakeStore(), FakeStore()
    async with stream(primary, replica, options) as running:
        first = len(running.acks)
        for _ in range(20):
            primary.write(b"v")
            await until(lambda: replica.position == primary.position)
        assert len(running.acks) - first <= 1
        running.sender.ask(25)
        await until(lambda: running.sender.ack == Ack(20, 20, 20))
        for number in range(21, 25):
            primary.write(b"v")
            await until(lambda last=number: running.sender.ack == Ack(last, last, last))  # type: ignore[misc]


async def test_lag_in_batches_is_exact_on_the_way_and_zero_when_idle() -> None:
    """What is on its way counts batch by batch; a replica that has all is at 0, whatever was sent before."""
    primary, replica = FakeStore(), FakeStore(stalled="level 0 is full")
    for _ in range(3):
        primary.write(b"v", b"w")
    async with stream(primary, replica) as running:
        await until(lambda: running.sender.sent == 6)
        assert running.sender.lag_batches(6) == 3
        assert running.sender.lag_batches(10) == 5
        replica.stalled = None
        replica.notify()
        await until(lambda: running.sender.ack.applied == 6)
        assert running.sender.lag_batches(6) == 0


async def test_a_frame_longer_than_the_window_passes() -> None:
    """A window always admits one frame, and the stream goes on after it."""
    primary, replica = FakeStore(), FakeStore()
    primary.write(b"v" * 100_000)
    primary.write(b"w" * 100_000)
    async with stream(primary, replica):
        await until(lambda: replica.position == primary.position)
        primary.write(b"x")
        await until(lambda: replica.position == primary.position)


async def test_frames_that_are_here_are_applied_together() -> None:
    """Small messages that wait already cost one call of the store a chunk, not one each."""
    primary, replica = FakeStore(), FakeStore()
    for _ in range(100):
        primary.write(b"v" * 10)
    async with stream(primary, replica, ReplicationOptions(chunk_bytes=1_000_000)):
        await until(lambda: replica.position == primary.position)
    assert len(replica.applied_sizes) == 1


async def test_log_that_goes_away_ends_the_stream() -> None:
    """A sender whose log is gone says so instead of skipping."""
    primary, replica = FakeStore(), FakeStore(stalled="level 0 is full")
    for _ in range(100):
        primary.write(b"v" * 200)
    async with stream(primary, replica) as running:
        await until(lambda: running.sender.waits_for.startswith("the replica"))
        primary.forget_log_before(90)
        replica.stalled = None
        replica.notify()
        with pytest.raises(LogGoneError):
            await running.sending


async def test_a_replica_that_applies_late_acknowledges_what_is_durable() -> None:
    """That opens the window: it is not sent less because its readers see less."""
    primary = FakeStore()
    for _ in range(3):
        primary.write(b"v" * 100)
    left, right = pair()
    right.allow_payloads(1 << 20)
    acks: list[Ack] = []
    sender = Sender(
        primary.as_database(),
        left,
        replace(OPTIONS, window_bytes=1, chunk_bytes=1),
        sequence=1,
        durable=1,
        applied=0,
        on_ack=acks.append,
        now=time.monotonic,
    )
    assert sender.ack == Ack(1, 0, 1)
    task = asyncio.create_task(sender.run())
    await until(lambda: sender.sent == 2)
    right.send(Ack(2, 0, 2))
    await until(lambda: sender.sent == 3)
    assert acks == [Ack(2, 0, 2)] and sender.window_bytes > 0
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    "acks",
    [
        [Ack(4, 3, 3)],
        [Ack(3, 4, 3)],
        [Ack(3, 3, 4)],
        [Ack(2, 2, 3)],
        [Ack(3, 3, 3), Ack(3, 3, 2)],
        [Ack(3, 3, 3), Ack(2, 2, 2)],
    ],
)
async def test_an_impossible_acknowledgement_ends_the_session(acks: list[Ack]) -> None:
    """An ack above what was sent, out of order, or going back is a ProtocolError."""
    primary = FakeStore()
    for _ in range(3):
        primary.write(b"v")
    left, right = pair()
    right.allow_payloads(1 << 20)
    sender = Sender(
        primary.as_database(),
        left,
        OPTIONS,
        sequence=0,
        durable=0,
        on_ack=lambda ack: None,
        now=time.monotonic,
    )
    task = asyncio.create_task(sender.run())
    await until(lambda: sender.sent == 3)
    for ack in acks:
        right.send(ack)
    with pytest.raises(ProtocolError, match="Ack"):
        await task


async def receive(replica: FakeStore, *messages: LogFrames) -> BaseException | None:
    """Feeds messages to a receiver; how it ended, or None when it took them all."""
    left, right = pair()
    right.allow_payloads(1 << 20)
    receiver = Receiver(
        DirectIntake(replica.as_database()), right, OPTIONS, on_primary=lambda sequence, clock: None
    )
    task = asyncio.create_task(receiver.run())
    for message in messages:
        left.send(message)
    # The end comes after everything was taken: a receiver that finds nothing wrong ends with it.
    await until(lambda: task.done() or right.inbox.empty())
    left.close()
    await asyncio.wait([task])
    error = task.exception()
    return None if isinstance(error, ConnectionResetError) else error


def frames_of(store: FakeStore, first: int, last: int) -> LogFrames:
    chosen = [frame for frame in store.frames if first <= frame.after.sequence <= last]
    return LogFrames(first, last, store.durable_sequence, b"".join(frame.data for frame in chosen))


async def test_a_gap_is_an_error() -> None:
    """LogFrames that do not begin right after the last ones are refused, and so are repeated ones."""
    primary = FakeStore()
    for _ in range(5):
        primary.write(b"v")
    assert isinstance(await receive(FakeStore(), frames_of(primary, 2, 3)), GapError)
    assert isinstance(
        await receive(FakeStore(), frames_of(primary, 1, 2), frames_of(primary, 4, 5)), GapError
    )
    assert isinstance(
        await receive(FakeStore(), frames_of(primary, 1, 2), frames_of(primary, 1, 2)), GapError
    )
    assert await receive(FakeStore(), frames_of(primary, 1, 2), frames_of(primary, 3, 5)) is None


async def test_a_header_that_lies_about_its_frames_is_an_error() -> None:
    """The store's position after the frames must be what the message announced."""
    primary = FakeStore()
    for _ in range(5):
        primary.write(b"v")
    lie = LogFrames(1, 3, 5, frames_of(primary, 1, 4).payload)
    assert isinstance(await receive(FakeStore(), lie), ProtocolError)


async def test_a_failed_store_ends_the_receiver() -> None:
    """A poisoned store is raised, not retried."""
    replica = FakeStore()
    primary = FakeStore()
    primary.write(b"v")
    async with stream(primary, replica) as running:
        await until(lambda: replica.position.sequence == 1)
        replica.failed = PoisonedError("a sync failed")
        replica.notify()
        with pytest.raises(PoisonedError):
            await running.receiving


async def test_random_interleavings_keep_the_replica_a_prefix() -> None:
    """Whatever the order of writes, syncs, stalls and breaks, the replica is a prefix and gets everything."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    primary, replica = FakeStore(auto_sync=False), FakeStore(auto_sync=False)
    for _ in range(8):
        async with stream(primary, replica):
            for _ in range(60):
                action = rng.randrange(6)
                if action < 3:
                    primary.write(*[b"v" * rng.randrange(300)] * rng.randrange(1, 4))
                elif action == 3:
                    primary.sync()
                elif action == 4:
                    replica.sync()
                else:
                    replica.stalled = None if replica.stalled else "level 0 is full"
                    replica.notify()
                await asyncio.sleep(0)
                assert [f.data for f in replica.frames] == [
                    f.data for f in primary.frames[: len(replica.frames)]
                ]
                assert replica.position.sequence <= primary.durable_sequence
    replica.stalled = None
    primary.sync()
    async with stream(primary, replica):
        await until(lambda: replica.position == primary.position)
