"""Whether the data directory is still this node's own: looked at a few times a second.

When somebody removes it, unmounts it or puts another one in its place, a running process does not notice:
writes and syncs still succeed, into files without a name, and another node may start on the path. So the node
looks. When the directory is gone it acknowledges nothing any more, and ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from replicad.daemon.records import NodeRecords
from replicad.env.events import get_logger
from replicad.errors import PoisonedError
from replicad.replication.tasks import in_thread
from replicad.store.database import Database

log = get_logger("replicad.daemon")

LOOK_SECONDS = 0.3


def what_is_gone(records: NodeRecords, store: Database | None) -> str | None:
    """Which of the node's files is missing or is another one, in words; None if all are there. Blocks."""
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
        log.warning("data.not_looked_at", data=str(data), reason=str(error))
        # A look that fails says nothing about the directory: the process may lack file descriptors.
        return
    if gone is None or (store is not None and store.closed):
        return
    reason = f"{data} is not this node's own any more: {gone} was removed or replaced"
    log.critical("data.gone", data=str(data), what=gone)
    if store is not None:
        store.poison(reason)
    raise PoisonedError(reason)
