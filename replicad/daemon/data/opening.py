"""A node opens its store, and ends when that stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from replicad.env.events import get_logger
from replicad.errors import PoisonedError
from replicad.replication.tasks import Wakeup
from replicad.store.database import Database

log = get_logger("replicad.daemon")


async def open_store(open_it: Callable[[], Database]) -> Database:
    """Opens in a thread, because recovery reads the log, and logs what was found."""
    opening = asyncio.get_running_loop().run_in_executor(None, open_it)
    try:
        database = await asyncio.shield(opening)
    except asyncio.CancelledError:
        # The thread cannot be stopped, and a store that nobody closes keeps its directory locked.
        await asyncio.to_thread((await opening).close)
        raise

    database.sync_for_loop()
    for note in database.notes:
        log.warning("store.recovered", note=note)
    log.info(
        "store.opened",
        database=database.database_id.hex(),
        position=str(database.durable_position),
        oldest_log_sequence=database.oldest_log_sequence,
    )
    return database


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
