"""The delay of a replica's data: opened with each store, and asked by whatever changes the data or the role.

    store opened ──> received log opened, joined to it ──> batches are applied as they are due
    promotion    ──> what waits is applied, or what is beyond a pause is saved ──> forgotten

Belongs to the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from replicad.daemon.config import NodeConfig
from replicad.daemon.data.discarded import DISCARDED
from replicad.daemon.records import NodeRecords
from replicad.env import Env
from replicad.env.events import get_logger
from replicad.errors import InvalidArgument, LinkStoppedError
from replicad.replication.policy.agree import History, would_discard
from replicad.replication.policy.apply_delay import ApplyRules, AtOpening, PausePoint, at_opening
from replicad.replication.replica.delayed_apply import DelayedApply
from replicad.replication.tasks import in_thread
from replicad.state import PauseRecord
from replicad.store.copies.saved_log import SavedLog
from replicad.store.database import Database
from replicad.store.received.opening import RECEIVED, open_received
from replicad.store.received.received_log import ReceivedLog
from replicad.types import EpochRecord, Position

log = get_logger("replicad.daemon")


class NodeDelay:
    def __init__(
        self,
        config: NodeConfig,
        env: Env,
        records: NodeRecords,
        failed: Callable[[BaseException], None],
    ) -> None:
        """`failed` is called with an error that ended the applying."""
        self._failed = failed
        self._config = config
        self._env = env
        self._records = records
        self._running: asyncio.Task[None] | None = None
        self._exchanges = False
        self.changes_role: Callable[[], bool] = lambda: False
        """Whether a change of role is under way: it goes by the pause that it found."""
        self.apply: DelayedApply | None = None
        """Of the open store."""

    @property
    def pause(self) -> PausePoint | None:
        """Where the replica is to stand still, as it is on record."""
        if self.apply is not None:
            return self.apply.rules.pause
        record = self._records.state.view().pause
        return None if record is None else PausePoint(record.sequence, record.time_us)

    @property
    def held_because(self) -> str | None:
        """Why the data may be neither replaced by a copy nor cut back, or None."""
        pause = self.pause
        return None if pause is None else f"this replica is paused at {pause}: replicad replica-resume first"

    @property
    def no_takeover(self) -> str | None:
        """Why a switchover cannot hand the writes to this node, or None."""
        if self.pause is not None:
            return self.held_because
        if self._config.link.apply_delay_seconds:
            return "this replica applies late: set apply_delay_seconds = 0 there and replicad reload it first"
        return None

    def reconfigure(self, config: NodeConfig) -> None:
        self._config = config
        if self.apply is not None:
            self.apply.reconfigure(delay_us=_delay_us(config), bytes_max=config.link.apply_delay_bytes_max)

    async def open(self, store: Database) -> DelayedApply:
        """Joins the received log of the directory to the store that was just opened."""
        config, env = self._config, self._env
        received, notes = await in_thread(
            open_received,
            env.fs,
            config.data / RECEIVED,
            store.database_id,
            segment_bytes=config.store.segment_bytes,
        )
        for note in notes:
            log.warning("delay.received_log_cut", reason=note)
        await in_thread(self._join, received, store)

        # A promotion that was interrupted may have left the record of a pause that it ended.
        pause = self.pause
        if store.role == "owner" and pause is not None:
            await self._save_pause(None)
            pause = None
        self.apply = DelayedApply(
            env,
            store,
            received,
            ApplyRules(_delay_us(config), pause),
            self._save_pause,
            bytes_max=config.link.apply_delay_bytes_max,
            unchangeable=lambda: self._unchangeable,
        )
        self._running = asyncio.create_task(self.apply.run())
        self._running.add_done_callback(self._ended)
        if self.apply.is_waiting or pause is not None:
            log.info(
                "delay.waiting",
                applied=str(store.position),
                received=str(self.apply.position),
                pause=None if pause is None else str(pause),
            )
        return self.apply

    def _join(self, received: ReceivedLog, store: Database) -> None:
        """Blocks."""
        begin, end = received.begin, received.end
        if begin is None or end is None:
            return
        is_owner = store.role == "owner"
        at = store.epochs[-1].fork if is_owner else store.position
        goes_through = received.position_at(at.sequence) == at
        then = at_opening(
            begin,
            at,
            has_end=end.sequence <= at.sequence and _goes_through(store, end, received.epochs),
            goes_through=goes_through,
            is_owner=is_owner,
        )
        match then:
            case AtOpening.KEEP:
                return
            case AtOpening.DROP:
                log.info("delay.never_durable", applied=str(at), begin=str(begin), end=str(end))
            case AtOpening.SAVE:
                # A promotion saved it under this very name, if it got so far.
                after = at if goes_through else begin
                saved = received.save(after, self._config.data / DISCARDED)
                log.warning("delay.discarded", after=str(after), last=str(end), batches=saved.batches)
        received.clear()

    def _ended(self, running: asyncio.Task[None]) -> None:
        if not running.cancelled() and (error := running.exception()) is not None:
            self._failed(error)

    async def close(self) -> None:
        running, self._running, self.apply = self._running, None, None
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def _save_pause(self, pause: PausePoint | None) -> None:
        record = None if pause is None else PauseRecord(sequence=pause.sequence, time_us=pause.time_us)
        await self._records.put_pause(record)

    @property
    def _unchangeable(self) -> str | None:
        if self.changes_role():
            return "a promotion, or another change of role, is under way: ask again"
        return "the data is exchanged at the moment: ask again" if self._exchanges else None

    @contextlib.asynccontextmanager
    async def exchange(self) -> AsyncIterator[None]:
        """Around what replaces the data or cuts it back: no pause is ordered meanwhile. Raises
        LinkStoppedError when there is one."""
        self._exchanges = True
        try:
            if self.apply is not None:
                await self.apply.settled()
                if (held := self.held_because) is not None:
                    raise LinkStoppedError(held)
            yield
        finally:
            self._exchanges = False

    # What an operator orders.

    async def pause_at(self, point: PausePoint | None) -> PausePoint:
        """Raises InvalidArgument for a point that is applied already, for a node without data, and while its
        data or its role changes."""
        if self.apply is None:
            if (why := self._unchangeable) is not None:
                raise InvalidArgument(why)
            raise InvalidArgument("this replica has no data yet that could stand still")
        return await self.apply.pause(point)

    async def resume(self) -> bool:
        """Whether it was paused."""
        if self.apply is not None:
            return await self.apply.resume()
        if (why := self._unchangeable) is not None:
            raise InvalidArgument(why)
        was_paused = self.pause is not None
        if was_paused:
            await self._save_pause(None)
        return was_paused

    # What changes of the data and of the role ask.

    async def save(self, after: Position) -> SavedLog | None:
        """Saves what waits after a position in `discarded/`; None when nothing does."""
        if self.apply is None:
            return None
        return await self.apply.save(after, self._config.data / DISCARDED)

    async def forget(self) -> None:
        """Nothing waits any more, and nothing is paused."""
        if self.apply is not None:
            await self.apply.forget()


def _goes_through(store: Database, end: Position, epochs: tuple[EpochRecord, ...]) -> bool:
    """Whether the store's history goes through the end of a received log, in which `epochs` begin. Blocks."""
    if (found := store.position_at(end.sequence)) is not None:
        return found == end
    # A copy came without that part of the log: only the epochs tell.
    if end.epoch > store.position.epoch:
        return False
    theirs, ours = (store.database_id, end, epochs), (store.database_id, store.position, store.epochs)
    return would_discard(History(*theirs), History(*ours)) is None


def _delay_us(config: NodeConfig) -> int:
    return round(config.link.apply_delay_seconds * 1_000_000)
