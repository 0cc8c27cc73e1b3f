"""What both programs have: the directory to themselves, the shown state, the watch on the store."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import structlog

from replicad.daemon.config import NodeConfig
from replicad.daemon.process.notify import notify
from replicad.daemon.records import NodeRecords, locked_state
from replicad.env import Env
from replicad.errors import PoisonedError, StoreError
from replicad.replication.tasks import Wakeup
from replicad.replication.wire.identify import Identity
from replicad.state import Shown
from replicad.store.database import Database

log = structlog.get_logger("replicad.daemon")

SHOW_SECONDS = 1.0
SHOW_AGAIN_SECONDS = 10.0


@contextlib.asynccontextmanager
async def node_state(env: Env, data: Path) -> AsyncIterator[NodeRecords]:
    """The state of the node whose directory this process now has to itself; LockedError if it has not."""
    with locked_state(env, data) as state:
        records = NodeRecords(state)
        try:
            yield records
        finally:
            await records.close()


def identity_of(env: Env, records: NodeRecords, config: NodeConfig) -> Identity:
    """This node, in this run."""
    return Identity(records.state.node_id, env.random.bytes(16), config.name)


async def watch_failure(database: Database) -> None:
    """Never returns; raises PoisonedError when the store stopped."""
    wakeup = Wakeup()
    unsubscribe = database.subscribe(wakeup.notify)
    try:
        while True:
            wakeup.clear()
            if database.failed is not None:
                raise PoisonedError(str(database.failed)) from database.failed
            await wakeup.wait()
    finally:
        unsubscribe()


class Shower:
    """Writes what the node shows of itself: when it changed, looked at about once a second or when nudged."""

    def __init__(self, env: Env, records: NodeRecords, shown: Callable[[], Shown]) -> None:
        self._env = env
        self._records = records
        self._shown = shown
        self._nudged = asyncio.Event()
        self._last: Shown | None = None

    def nudge(self) -> None:
        """The state changed: show it now."""
        self._nudged.set()

    async def run(self) -> None:
        while True:
            await self.show()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SHOW_SECONDS):
                    await self._nudged.wait()
            self._nudged.clear()

    async def show(self) -> None:
        shown = self._shown()
        last = self._last
        if (
            last is None
            or replace(shown, at_us=last.at_us) != last
            or shown.at_us - last.at_us > SHOW_AGAIN_SECONDS * 1e6
        ):
            self._last = shown
            notify(f"STATUS={shown.role} at {shown.position or 'no data yet'}, {shown.link or 'serving'}")
            try:
                await self._records.show(shown)
            except StoreError as error:
                # What is shown is a courtesy: a full disk must not end the node.
                log.warning("state.not_shown", reason=str(error))


async def open_store(open_it: Callable[[], Database]) -> Database:
    """Opens in a thread, since recovery reads the log, and says what was found."""
    opening = asyncio.get_running_loop().run_in_executor(None, open_it)
    try:
        database = await asyncio.shield(opening)
    except asyncio.CancelledError:
        await asyncio.to_thread((await opening).close)
        raise
    for note in database.notes:
        log.warning("store.recovered", note=note)
    log.info(
        "store.opened",
        database=database.database_id.hex(),
        position=str(database.durable_position),
        oldest_log_sequence=database.oldest_log_sequence,
    )
    return database
