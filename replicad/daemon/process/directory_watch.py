"""Whether the data directory is still this node's own: looked at a few times a second.

Whoever removes it, unmounts it or puts another one in its place takes nothing from a running process: writes
and syncs go on succeeding, into files without a name, and another node may start on the path. So the node
looks, acknowledges nothing from then on, and ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog

from replicad.daemon.records import NodeRecords
from replicad.errors import PoisonedError
from replicad.replication.tasks import in_thread
from replicad.store.database import Database

log = structlog.get_logger("replicad.daemon")

LOOK_SECONDS = 0.3


def what_is_gone(records: NodeRecords, store: Database | None) -> str | None:
    """What is missing of the node's files, or another one, in words; blocks like any call of the file
    system."""
    lock = records.state.lock
    if lock is not None and not lock.is_in_place():
        return "its lock file"
    if store is None or store.failed is not None:
        return None
    return store.what_is_gone()


async def watch(data: Path, records: NodeRecords, store: Callable[[], Database | None]) -> None:
    """Never returns: looks at the directory of the store that is open at each moment. Raises as `look`."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        await look(data, records, store())


async def look(data: Path, records: NodeRecords, store: Database | None) -> None:
    """Raises PoisonedError, after stopping the store, when the directory is not this node's own any more."""
    try:
        gone = await in_thread(what_is_gone, records, store)
    except OSError as error:
        log.warning("data.not_looked_at", data=str(data), reason=str(error))  # what fails here says nothing
        return
    if gone is None or (store is not None and store.closed):
        return
    reason = f"{data} is not this node's own any more: {gone} was removed or replaced"
    log.critical("data.gone", data=str(data), what=gone)
    if store is not None:
        store.poison(reason)
    raise PoisonedError(reason)
