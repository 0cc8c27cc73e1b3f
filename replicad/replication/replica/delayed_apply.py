"""A replica that applies late: what it receives is durable at once, and visible when it is due.

    received ──append──> received log ──sync──> ACK durable
                              └─ due, by `policy/apply_delay` ──> the store: ACK applied ──durable──> trimmed

Nothing of this concerns the store: it gets a batch when that is due, and never before. So whatever reads the
store (clients, replicas of this replica, backups, the log archive) sees only what was applied.

Invariants:

- While the received log has anything, only what is read from it gets into the store: batches are applied in
  order and once, and after a crash the store's position says which was the last.
- A batch leaves the received log when it is durable in the store.
- Without a delay, without a pause and with nothing that waits, frames go straight into the store.

Belongs to the event loop; files are written, synced and read in threads. `_turn` is held by each step that
appends, applies or changes the rules: a pause that was answered holds for the very next batch.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from replicad import kernels
from replicad.env import Env
from replicad.env.events import get_logger
from replicad.env.reasons import reason_of
from replicad.errors import (
    CorruptionError,
    InvalidArgument,
    PoisonedError,
    ReplicadError,
    WaitingLogFullError,
)
from replicad.replication.intake import INLINE_BYTES_MAX, DirectIntake
from replicad.replication.policy.apply_delay import (
    ApplyRules,
    PausePoint,
    WaitingBatch,
    due,
    refuse_pause,
    wait_us,
)
from replicad.replication.tasks import Wakeup, beside, in_thread, to_its_end
from replicad.store.copies.saved_log import SavedLog
from replicad.store.database import Database
from replicad.store.received.opening import cut_damage
from replicad.store.received.received_log import ReceivedCursor, ReceivedLog
from replicad.store.write.admission import check_epoch
from replicad.store.write.foreign_frames import check_continues, end_of
from replicad.types import EpochRecord, Position
from replicad.units import show_size

log = get_logger("replicad.replication")

CLOCK_SECONDS = 1.0
"""How often the wall clock is looked at while batches wait: it may be set forwards."""
RETRY_SECONDS = 1.0
"""A store without room is tried again after this."""


class DelayedApply:
    """Satisfies `LogIntake`."""

    def __init__(
        self,
        env: Env,
        store: Database,
        received: ReceivedLog,
        rules: ApplyRules,
        save_pause: Callable[[PausePoint | None], Awaitable[None]],
        *,
        bytes_max: int,
        unchangeable: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`save_pause` returns when the pause is durable. `bytes_max` bounds the received log.
        `unchangeable` says why nobody may order or end a pause at the moment."""
        self.rules = rules
        self.bytes_max = bytes_max
        self.trouble: str | None = None
        """Why the next batch cannot be applied, although it is due."""
        self.cut: str | None = None
        """Why received log was cut off since the store was opened."""
        self.cuts = 0
        self._env = env
        self._store = store
        self._direct = DirectIntake(store)
        self._received = received
        self._save_pause = save_pause
        self._unchangeable = unchangeable
        self._turn = asyncio.Lock()
        self._cursor: ReceivedCursor | None = None
        self._frames = b""
        self._next: deque[tuple[WaitingBatch, int, int]] = deque()
        """The batches in `_frames`, each with the offsets of its begin and end."""
        self._to_sync = Wakeup()
        self._to_apply = Wakeup()
        self._listeners: list[Callable[[], None]] = []

    # What is received.

    @property
    def is_waiting(self) -> bool:
        """Whether there are batches that were received and not applied."""
        end = self._received.end
        return end is not None and end.sequence > self._store.position.sequence

    @property
    def delays(self) -> bool:
        return self.rules.delays or self._received.begin is not None

    @property
    def position(self) -> Position:
        end = self._received.end
        return end if end is not None and self.is_waiting else self._store.position

    @property
    def durable_position(self) -> Position:
        there, begin, end = self._store.durable_position, self._received.begin, self._received.durable
        # What waits is durable only together with what it continues.
        if begin is None or end is None or there.sequence < begin.sequence:
            return there
        return end if end.sequence > there.sequence else there

    @property
    def applied_sequence(self) -> int:
        return self._direct.applied_sequence

    @property
    def epochs(self) -> tuple[EpochRecord, ...]:
        known = self._store.epochs
        return (*known, *(record for record in self._received.epochs if record not in known))

    @property
    def stalled(self) -> str | None:
        return None if self.delays else self._store.stalled

    @property
    def failed(self) -> BaseException | None:
        return self._store.failed

    @property
    def refusal(self) -> str | None:
        if not self.delays:
            return None
        size_bytes = self._received.size_bytes
        if size_bytes >= self.bytes_max:
            return (
                f"{show_size(size_bytes)} of received log wait to be applied, and apply_delay_bytes_max is "
                f"{show_size(self.bytes_max)}"
            )
        if self._store.log_room_bytes <= 0:
            return (
                f"{show_size(size_bytes)} of received log wait to be applied, and less than "
                "log_disk_floor_bytes of the disk is free"
            )
        return None

    def position_at(self, sequence: int) -> Position | None:
        """The position after the batch that holds `sequence`, applied or waiting; None when neither log
        tells. Blocks."""
        if sequence > self._store.position.sequence:
            return self._received.position_at(sequence)
        return self._store.position_at(sequence)

    async def take(self, frames: bytes) -> Position:
        """See `LogIntake`."""
        async with self._turn:
            if not self.delays:
                return await self._direct.take(frames)
            if (refusal := self.refusal) is not None:
                raise WaitingLogFullError(refusal)

            at = self.position
            scan = check_continues(frames, self._store.database_id, at)
            if not scan.frames:
                return at
            after = end_of(scan)
            if after.epoch > at.epoch:
                controls = kernels.inspect_frames(frames).controls
                check_epoch(controls[0] if controls else None, at, after.epoch)

            if len(frames) <= INLINE_BYTES_MAX:
                self._received.append(frames, after, at)
            else:
                await in_thread(self._received.append, frames, after, at)
        self._to_sync.notify()
        self._to_apply.notify()
        return after

    def hurry_sync(self) -> None:
        self._direct.hurry_sync()

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        unsubscribe = self._store.subscribe(listener)
        self._listeners.append(listener)

        def end() -> None:
            unsubscribe()
            self._listeners.remove(listener)

        return end

    # What is applied.

    async def run(self) -> None:
        """Applies what is due, until it is cancelled or the store failed."""
        unsubscribe = self._store.subscribe(self._to_apply.notify)
        try:
            await beside(self._apply_as_due(), self._keep_durable())
        except PoisonedError as error:
            # The node ends with the code of a failed store, whichever of its logs could not be synced.
            if self._store.failed is None:
                self._store.poison(str(error))
        finally:
            unsubscribe()
            self.close()

    def close(self) -> None:
        self._forget_cursor()
        self._received.close()

    async def _keep_durable(self) -> None:
        while True:
            self._to_sync.clear()
            if self._received.needs_sync:
                await in_thread(self._received.sync)
                for listener in list(self._listeners):
                    listener()
            else:
                await self._to_sync.wait()

    async def _apply_as_due(self) -> None:
        while True:
            self._to_apply.clear()
            try:
                wait = await self._step()
                self.trouble = None
            except (ReplicadError, OSError) as error:
                if self._store.failed is not None:
                    return
                wait = self._could_not(error)
            if wait == 0:
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if wait is None else min(wait, CLOCK_SECONDS)):
                    await self._to_apply.wait()

    def _could_not(self, error: ReplicadError | OSError) -> float:
        reason = reason_of(error)
        if reason != self.trouble:
            log.error("delay.cannot_apply", reason=reason, position=str(self._store.position))
        self.trouble = reason
        self._forget_cursor()
        return RETRY_SECONDS

    async def _step(self, rules: ApplyRules | None = None) -> float | None:
        """Applies some of what is due, by the rules that hold or by others. How many seconds the next batch
        has to wait: 0 when there may be more to do, None when nothing waits or a pause holds it."""
        store = self._store
        while store.stalled is not None and store.failed is None:
            self._to_apply.clear()
            if store.stalled is not None and store.failed is None:
                await self._to_apply.wait()

        async with self._turn:
            await self._tidy()
            if not await self._read():
                return None

            held = self.rules if rules is None else rules
            now_us = self._env.clock.wall_us()
            count = due((batch for batch, _, _ in self._next), held, now_us)
            if not count:
                wait = wait_us(self._next[0][0], held, now_us)
                return None if wait is None else max(wait / 1e6, 1e-3)

            begin, end = self._next[0][1], self._next[count - 1][2]
            await self._direct.take(self._frames[begin:end])
            for _ in range(count):
                self._next.popleft()
            return 0

    async def _tidy(self) -> None:
        """What the store has durably goes."""
        received, durable = self._received, self._store.durable_sequence
        if received.begin is None or received.end is None:
            return
        if not self.rules.delays and not self.is_waiting:
            # From here on frames go straight into the store. Nobody takes any meanwhile, or under load this
            # moment would never come.
            self._direct.hurry_sync()
            await in_thread(self._store.wait_durable, received.end.sequence)
            self._forget_cursor()
            await in_thread(received.clear)
        elif received.may_trim(durable):
            await in_thread(received.trim, durable)

    async def _read(self) -> bool:
        """Whether there is a next batch, in `_next`."""
        if self._next:
            return True
        if not self.is_waiting:
            return False
        if self._cursor is None:
            self._cursor = ReceivedCursor(self._received, self._store.position)
        try:
            chunk = await in_thread(self._cursor.next)
        except CorruptionError:
            if not await self._cut_damage():
                raise
            return await self._read()
        if chunk is None:
            return False
        self._frames, at = chunk.frames, 0
        for _, first, count, time_us, _, _, _ in kernels.list_frames(chunk.frames):
            begin, at = at, at + kernels.FrameHeader.decode(chunk.frames, at).size
            self._next.append((WaitingBatch(first + count - 1, time_us), begin, at))
        return True

    async def cut_damage(self) -> bool:
        """Cuts what waits where it is damaged; whether it is."""
        async with self._turn:
            return await self._cut_damage()

    async def _cut_damage(self) -> bool:
        """What lies behind the damage comes again from the primary, or it is lost. With the turn."""
        self._forget_cursor()
        received, store = self._received, self._store
        # The damage may lie in what is applied and not durable in the store yet.
        self._direct.hurry_sync()
        await in_thread(store.wait_durable, store.position.sequence)
        notes = await in_thread(cut_damage, self._env.fs, received.directory, received)
        if not notes:
            return False
        if received.end is not None and received.end.sequence < store.position.sequence:
            await in_thread(received.clear)
        self.cut = notes[0]
        self.cuts += 1
        for note in notes:
            log.error("delay.received_log_damaged", reason=note, position=str(self.position))
        for listener in list(self._listeners):
            listener()
        return True

    def _forget_cursor(self) -> None:
        if self._cursor is not None:
            self._cursor.close()
        self._cursor, self._frames = None, b""
        self._next.clear()

    # What an operator changes.

    def reconfigure(self, *, delay_us: int, bytes_max: int) -> None:
        self.rules = replace(self.rules, delay_us=delay_us)
        self.bytes_max = bytes_max
        self._to_apply.notify()

    async def pause(self, point: PausePoint | None) -> PausePoint:
        """Stands still at that point (None: at once) from now on, also after a restart; where.

        Raises InvalidArgument when it is applied already, and what `save_pause` does. It is done to its end,
        also when the caller goes away: what is on record must be what holds.
        """
        return await to_its_end(self._pause(point))

    async def _pause(self, point: PausePoint | None) -> PausePoint:
        async with self._turn:
            self._check_changeable()
            store = self._store
            applied = WaitingBatch(store.position.sequence, store.commit_time_us)
            if point is None:
                point = PausePoint(sequence=applied.last_sequence)
            if (refusal := refuse_pause(point, applied)) is not None:
                raise InvalidArgument(refusal)
            await self._change_pause(point)
        log.warning("delay.paused", at=str(point), position=str(self._store.position))
        return point

    async def resume(self) -> bool:
        """Goes on by the delay alone; whether it was paused. Done to its end, as `pause`."""
        return await to_its_end(self._resume())

    async def _resume(self) -> bool:
        async with self._turn:
            self._check_changeable()
            if self.rules.pause is None:
                return False
            # Recorded first: what is applied from here on must not be beyond a pause that is on record.
            await self._save_pause(None)
            self.rules = replace(self.rules, pause=None)
        log.warning("delay.resumed", position=str(self._store.position))
        self._to_apply.notify()
        return True

    def _check_changeable(self) -> None:
        """Asked with the turn: an order that began before has ended then, and one that comes later is
        refused."""
        if (why := self._unchangeable()) is not None:
            raise InvalidArgument(why)

    async def settled(self) -> None:
        """Returns when an order that is carried out now has ended."""
        async with self._turn:
            pass

    async def _change_pause(self, point: PausePoint) -> None:
        before, self.rules = self.rules, replace(self.rules, pause=point)
        try:
            await self._save_pause(point)
        except BaseException:
            self.rules = before
            raise
        finally:
            self._to_apply.notify()

    # What a promotion, a rewind and a new copy ask. The link has ended, or does not stream.

    async def apply_through(self, pause: PausePoint | None) -> None:
        """Applies what waits whatever its age, through the pause if there is one. Raises what applying it
        does."""
        rules = ApplyRules(0, pause)
        while await self._step(rules) == 0:
            pass

    async def save(self, after: Position, directory: Path) -> SavedLog | None:
        """Saves what waits after a position; None when nothing does."""
        async with self._turn:
            end = self._received.end
            if end is None or end.sequence <= after.sequence or not self.is_waiting:
                return None
            # What can be read of it, under the name of where that ends.
            try:
                await in_thread(self._received.check, after)
            except CorruptionError:
                if not await self._cut_damage():
                    raise
            end = self._received.end
            if end is None or end.sequence <= after.sequence:
                return None
            return await in_thread(self._received.save, after, directory)

    async def cut_back(self, position: Position) -> None:
        """Removes what waits after that position, at which something waits or the store is.

        A pause by number that stood beyond it stands at it from now on: in the other history that number is
        another batch's.
        """
        async with self._turn:
            self._forget_cursor()
            pause, end = self.rules.pause, position.sequence
            if pause is not None and pause.sequence is not None and pause.sequence > end:
                await self._change_pause(replace(pause, sequence=end))
                log.warning("delay.pause_moved", ordered=pause.sequence, at=end)
            await in_thread(self._received.cut_back, position)

    async def forget(self) -> None:
        """Removes all that waits: it is applied, saved, or in the copy that replaces the data."""
        async with self._turn:
            self._forget_cursor()
            await in_thread(self._received.clear)
            if self.rules.pause is not None:
                await self._save_pause(None)
                self.rules = replace(self.rules, pause=None)

    # What it shows.

    def document(self) -> dict[str, object]:
        """For the status document, ready for JSON."""
        rules, now_us = self.rules, self._env.clock.wall_us()
        first = self._next[0][0] if self._next and self.is_waiting else None
        pause = rules.pause
        wait = None if first is None else wait_us(first, rules, now_us)
        return {
            "delay_seconds": rules.delay_us / 1e6,
            "paused": pause is not None,
            "pause_sequence": None if pause is None else pause.sequence,
            "pause_time_us": None if pause is None else pause.time_us,
            "stands_still": first is not None and wait is None,
            "received_sequence": self.position.sequence,
            "waiting_sequences": max(0, self.position.sequence - self._store.position.sequence),
            "waiting_bytes": self._received.size_bytes,
            "waiting_bytes_max": self.bytes_max,
            "lag_seconds": 0.0
            if first is None
            else max(0.0, round((now_us - first.commit_time_us) / 1e6, 3)),
            "next_seconds": None if wait is None else round(wait / 1e6, 3),
            "commit_time_us": self._store.commit_time_us,
            "refused": self.refusal,
            "trouble": self.trouble,
            "cut": self.cut,
        }
