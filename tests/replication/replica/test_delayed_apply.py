"""What a replica has received and not applied, over a real store and a clock that the test moves."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest

from replicad import kernels
from replicad.env import Env, LocalFileSystem
from replicad.errors import CorruptionError, GapError, InvalidArgument, StoreError, WaitingLogFullError
from replicad.replication.intake import INLINE_BYTES_MAX
from replicad.replication.options import ReplicationOptions
from replicad.replication.policy.apply_delay import ApplyRules, PausePoint
from replicad.replication.replica.delayed_apply import DelayedApply
from replicad.replication.replica.receiver import Receiver
from replicad.replication.wire.messages import Ack, LogFrames
from replicad.store.database import open_database
from replicad.store.received.opening import open_received
from replicad.store.wal.segment import HEADER_BYTES
from replicad.types import Position
from tests.support.manual_clock import ManualClock
from tests.support.replication.memory_connection import pair
from tests.support.stores.small import small_options
from tests.support.waiting import until

OPTIONS = small_options(durability="sync")
MINUTE = 60.0
NOON_US = 1_800_000_000_000_000
MINUTE_US = 60_000_000


class WatchedClock(ManualClock):
    """Counts how often somebody looks at the time of day."""

    def __init__(self, wall: int) -> None:
        super().__init__()
        self.wall = wall
        self.looks = 0

    def wall_us(self) -> int:
        self.looks += 1
        return super().wall_us()


class Node:
    """A primary's batches, and a replica that gets them late."""

    def __init__(self, path: Path, rules: ApplyRules, bytes_max: int = 1 << 30) -> None:
        self.path, self.rules, self.bytes_max = path, rules, bytes_max
        self.clock, self.primarys = WatchedClock(NOON_US), WatchedClock(NOON_US)
        self.primary = open_database(path / "primary", OPTIONS, env=Env(clock=self.primarys))
        self.primary.create_base_copy(path / "replica")
        self.saved: list[PausePoint | None] = []
        self.save_fails = False
        self.open()

    def open(self) -> None:
        fs = LocalFileSystem()
        self.store = open_database(self.path / "replica", OPTIONS, role="replica")
        received, self.notes = open_received(
            fs, self.path / "replica" / "received", self.store.database_id, segment_bytes=4096
        )
        self.apply = DelayedApply(
            Env(clock=self.clock), self.store, received, self.rules, self._save, bytes_max=self.bytes_max
        )
        self.task = asyncio.create_task(self.apply.run())

    async def _save(self, pause: PausePoint | None) -> None:
        if self.save_fails:
            raise StoreError("the disk is broken")
        self.saved.append(pause)

    async def end(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        self.store.close()

    def advance(self, seconds: float) -> None:
        """Of the replica's clock; it is looked at."""
        assert self.clock.wall is not None
        self.clock.wall += round(seconds * 1e6)
        self.wake()

    def wake(self) -> None:
        self.apply.reconfigure(delay_us=self.apply.rules.delay_us, bytes_max=self.apply.bytes_max)

    def write(self, key: bytes) -> int:
        return self.primary.put(key, key)

    async def ship(self) -> Position:
        """All that the replica lacks."""
        cursor = self.primary.read_log(self.apply.position.sequence + 1)
        try:
            while (chunk := cursor.next()) is not None:
                await self.apply.take(chunk.frames)
        finally:
            cursor.close()
        return self.apply.position

    async def durable(self) -> None:
        await until(lambda: self.apply.durable_position == self.primary.position)


@contextlib.asynccontextmanager
async def node(path: Path, rules: ApplyRules, bytes_max: int = 1 << 30) -> AsyncIterator[Node]:
    made = Node(path, rules, bytes_max)
    try:
        yield made
    finally:
        await made.end()
        made.primary.close()


def _is_above(clock: WatchedClock, looks: int) -> bool:
    return clock.looks > looks


async def settled(made: Node, shows: Callable[[], bool]) -> None:
    """It holds, and it holds still when the replica has looked again at what waits."""
    await until(shows)
    for _ in range(2):
        before = made.clock.looks
        made.wake()
        await until(partial(_is_above, made.clock, before))
    assert shows()


async def test_a_batch_is_durable_at_once_and_applied_when_it_is_old_enough(tmp_path: Path) -> None:
    """By the replica's wall clock, and not a moment before."""
    async with node(tmp_path, ApplyRules(MINUTE_US)) as made:
        made.write(b"first")
        assert made.primarys.wall is not None
        made.primarys.wall += 30_000_000
        made.write(b"second")
        await made.ship()
        await made.durable()
        assert made.apply.applied_sequence == 0
        assert made.apply.position.sequence == 2

        made.advance(59.9)
        await settled(made, lambda: made.apply.applied_sequence == 0)
        made.advance(0.2)
        await settled(made, lambda: made.apply.applied_sequence == 1)
        assert made.store.get(b"first") == b"first" and made.store.get(b"second") is None
        made.advance(30.0)
        await until(lambda: made.store.get(b"second") == b"second")
        assert made.store.position == made.primary.position


async def test_a_clock_that_is_set_back_makes_batches_wait_longer(tmp_path: Path) -> None:
    """Nothing is applied early, whatever a clock does."""
    async with node(tmp_path, ApplyRules(MINUTE_US)) as made:
        made.write(b"key")
        await made.ship()
        made.advance(-600.0)
        made.advance(2 * MINUTE)
        await settled(made, lambda: made.apply.applied_sequence == 0)
        made.advance(600.0)
        await until(lambda: made.apply.applied_sequence == 1)


async def test_what_waits_outlives_a_kill(tmp_path: Path) -> None:
    """Part of it was applied; the rest waits on, and nothing is applied twice."""
    async with node(tmp_path, ApplyRules(0, PausePoint(sequence=3))) as made:
        for number in range(6):
            made.write(b"%d" % number)
        await made.ship()
        await made.durable()
        await until(lambda: made.apply.applied_sequence == 3)
        await made.end()

        made.open()
        assert made.notes == []
        assert made.apply.position == made.primary.position == made.apply.durable_position
        await settled(made, lambda: made.apply.applied_sequence == 3)
        assert await made.apply.resume()
        await until(lambda: made.store.position == made.primary.position)
        assert made.store.digest() == made.primary.digest()


async def test_a_pause_holds_for_the_very_next_batch(tmp_path: Path) -> None:
    """From its answer on, also on a replica without a delay; it is recorded first."""
    async with node(tmp_path, ApplyRules()) as made:
        made.write(b"before")
        await made.ship()
        assert made.apply.applied_sequence == 1 and not made.apply.delays
        assert await made.apply.pause(None) == PausePoint(sequence=1)
        assert made.saved == [PausePoint(sequence=1)]
        made.write(b"after")
        await made.ship()
        await made.durable()
        await settled(made, lambda: made.store.get(b"after") is None)
        await made.apply.resume()
        assert made.saved[-1] is None
        await until(lambda: made.store.get(b"after") == b"after")


async def test_a_pause_that_cannot_be_recorded_is_none(tmp_path: Path) -> None:
    """An operator must not count on what a restart forgets."""
    async with node(tmp_path, ApplyRules()) as made:
        made.save_fails = True
        with pytest.raises(StoreError):
            await made.apply.pause(None)
        made.write(b"key")
        await made.ship()
        await until(lambda: made.apply.applied_sequence == 1)


async def test_a_resume_that_cannot_be_recorded_leaves_the_pause(tmp_path: Path) -> None:
    """What is applied is never beyond a pause that is on record."""
    async with node(tmp_path, ApplyRules(0, PausePoint(sequence=0))) as made:
        made.write(b"key")
        await made.ship()
        made.save_fails = True
        with pytest.raises(StoreError):
            await made.apply.resume()
        await settled(made, lambda: made.apply.applied_sequence == 0)


async def test_a_pause_that_is_applied_already_is_refused(tmp_path: Path) -> None:
    """The message says how far the replica is."""
    async with node(tmp_path, ApplyRules()) as made:
        for number in range(3):
            made.write(b"%d" % number)
        await made.ship()
        with pytest.raises(InvalidArgument, match="applied everything through sequence number 3"):
            await made.apply.pause(PausePoint(sequence=2))
        assert made.saved == []


async def test_when_nothing_waits_and_nothing_delays_log_goes_straight_into_the_store(
    tmp_path: Path,
) -> None:
    """What was kept goes, and is not written twice any more."""
    async with node(tmp_path, ApplyRules(MINUTE_US)) as made:
        made.write(b"first")
        await made.ship()
        made.apply.reconfigure(delay_us=0, bytes_max=1 << 30)
        await until(lambda: not made.apply.delays)
        assert made.store.position == made.primary.position
        assert LocalFileSystem().list(tmp_path / "replica" / "received") == []
        made.write(b"second")
        await made.ship()
        assert made.apply.applied_sequence == 2


async def test_log_that_waits_is_bounded(tmp_path: Path) -> None:
    """Nothing more is taken, and nothing is applied early to make room."""
    async with node(tmp_path, ApplyRules(MINUTE_US), bytes_max=300) as made:
        while made.apply.refusal is None:
            made.write(b"key")
            await made.ship()
        received = made.apply.position
        made.write(b"more")
        with pytest.raises(WaitingLogFullError, match="apply_delay_bytes_max"):
            await made.ship()
        assert made.apply.position == received and made.apply.applied_sequence == 0

        made.advance(MINUTE)
        await until(lambda: made.store.position == received)


async def test_frames_that_do_not_continue_what_waits_are_refused(tmp_path: Path) -> None:
    """A gap, or a changed byte, is found before it is on disk."""
    async with node(tmp_path, ApplyRules(MINUTE_US)) as made:
        for number in range(4):
            made.write(b"%d" % number)
        cursor = made.primary.read_log(3)
        late = cursor.next()
        cursor.close()
        assert late is not None
        with pytest.raises(GapError):
            await made.apply.take(late.frames)
        cursor = made.primary.read_log(1)
        whole = cursor.next()
        cursor.close()
        assert whole is not None
        changed = bytearray(whole.frames)
        changed[-2] ^= 1
        with pytest.raises(CorruptionError):
            await made.apply.take(bytes(changed))
        assert made.apply.position.sequence == 0
        await made.apply.take(whole.frames)
        assert made.apply.position == made.primary.position


async def test_a_promotion_applies_through_the_pause_whatever_the_delay(tmp_path: Path) -> None:
    """What is left is saved, and forgotten with the pause."""
    async with node(tmp_path, ApplyRules(MINUTE_US, PausePoint(sequence=2))) as made:
        for number in range(5):
            made.write(b"%d" % number)
        await made.ship()
        await made.apply.apply_through(made.apply.rules.pause)
        assert made.apply.applied_sequence == 2 and made.apply.is_waiting
        saved = await made.apply.save(made.store.position, tmp_path / "discarded")
        assert saved is not None and saved.batches == 3
        frames = b"".join(path.read_bytes()[64:] for path in saved.files)
        assert len(kernels.list_frames(frames)) == 3
        await made.apply.forget()
        assert not made.apply.is_waiting and made.saved == [None]
        assert made.apply.position == made.store.position


async def test_a_promotion_without_a_pause_applies_everything(tmp_path: Path) -> None:
    """Nothing that was acknowledged is lost."""
    async with node(tmp_path, ApplyRules(MINUTE_US)) as made:
        for number in range(5):
            made.write(b"%d" % number)
        await made.ship()
        await made.apply.apply_through(None)
        assert made.store.position == made.primary.position and not made.apply.is_waiting


async def test_another_history_cuts_what_waits_and_leaves_what_is_applied(tmp_path: Path) -> None:
    """Nobody saw it."""
    async with node(tmp_path, ApplyRules(0, PausePoint(sequence=1))) as made:
        for number in range(5):
            made.write(b"%d" % number)
        await made.ship()
        fork = made.apply.position_at(3)
        assert fork is not None
        await made.apply.cut_back(fork)
        assert made.apply.position == fork and made.apply.applied_sequence <= 1
        await made.ship()
        assert made.apply.position == made.primary.position
        await made.apply.resume()
        await until(lambda: made.store.digest() == made.primary.digest())


def damage(made: Node, at: int) -> None:
    """One byte of the frame of the batch of that index, of those that wait."""
    (path,) = (made.path / "replica" / "received").iterdir()
    data = bytearray(path.read_bytes())
    offset = HEADER_BYTES
    for _ in range(at):
        offset += kernels.FrameHeader.decode(bytes(data), offset).size
    data[offset + kernels.FRAME_HEADER_BYTES + 1] ^= 1
    path.write_bytes(bytes(data))


async def test_damage_is_cut_off_kept_and_received_again(tmp_path: Path) -> None:
    """What is before it is applied; the session ends, since what was acknowledged is gone."""
    async with node(tmp_path, ApplyRules(MINUTE_US)) as made:
        for key in (b"a", b"b", b"c", b"d"):
            made.write(key)
        await made.ship()
        await made.durable()
        damage(made, 2)
        # What was read before is forgotten.
        await made.apply.cut_back(made.apply.position)
        left, right = pair()
        receiver = Receiver(made.apply, right, ReplicationOptions(), on_primary=lambda sequence, beat: None)
        session = asyncio.create_task(receiver.run())
        await until(lambda: isinstance(left.receive_ready(), Ack))
        made.advance(MINUTE)
        with pytest.raises(GapError, match="damaged"):
            await session
        assert made.store.get(b"b") == b"b" and made.store.get(b"c") is None
        assert made.apply.position == made.store.position and made.apply.cuts == 1
        assert len(list((tmp_path / "replica" / "quarantine").iterdir())) == 1
        await made.ship()
        await until(lambda: made.store.get(b"d") == b"d")
        assert made.apply.trouble is None


async def test_what_is_readable_before_damage_is_saved(tmp_path: Path) -> None:
    """A rejoin and a forced promotion go on with that; nothing of it stays in the way."""
    async with node(tmp_path, ApplyRules(MINUTE_US)) as made:
        begin = made.store.position
        for key in (b"a", b"b", b"c", b"d"):
            made.write(key)
        await made.ship()
        await made.durable()
        damage(made, 2)
        saved = await made.apply.save(begin, tmp_path / "discarded")
        assert saved is not None and saved.batches == 2 and saved.last == made.apply.position
        assert made.apply.cut is not None and "quarantine" in made.apply.cut


async def test_a_pause_by_number_does_not_move_into_another_history(tmp_path: Path) -> None:
    """Beyond the fork that number is another batch's: the replica stands still at the fork."""
    async with node(tmp_path, ApplyRules(MINUTE_US)) as made:
        for key in (b"a", b"b", b"c", b"d"):
            made.write(key)
        end = await made.ship()
        fork = made.apply.position_at(end.sequence - 2)
        assert fork is not None
        await made.apply.pause(PausePoint(sequence=end.sequence - 1))
        await made.apply.cut_back(fork)
        assert made.apply.rules.pause == made.saved[-1] == PausePoint(sequence=fork.sequence)


async def test_what_a_full_log_refuses_was_not_acknowledged(tmp_path: Path) -> None:
    """Not as received either, however large it is."""
    async with node(tmp_path, ApplyRules(MINUTE_US), bytes_max=1) as made:
        made.write(b"a")
        at = (await made.ship()).sequence
        made.primary.put(b"large", random.Random(1).randbytes(2 * INLINE_BYTES_MAX))
        cursor = made.primary.read_log(at + 1)
        chunk = cursor.next()
        cursor.close()
        assert chunk is not None and len(chunk.frames) > INLINE_BYTES_MAX
        left, right = pair()
        right.allow_payloads(1 << 24)
        receiver = Receiver(
            made.apply, right, ReplicationOptions(ack_seconds=0.0), on_primary=lambda sequence, beat: None
        )
        left.send(LogFrames(at + 1, chunk.position.sequence, chunk.position.sequence, chunk.frames))
        with pytest.raises(WaitingLogFullError):
            await receiver.run()
        while isinstance(ack := left.receive_ready(), Ack):
            assert ack.received == at
