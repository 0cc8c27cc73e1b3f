"""The end of a primary: its store takes no more writes, and the decision is written until it is durable."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from replicad.daemon.open_store import OpenStore
from replicad.env.events import get_logger
from replicad.errors import PoisonedError, StoreError
from replicad.replication.tasks import in_thread

log = get_logger("replicad.daemon")

RETRY_SECONDS = 1.0


async def demote(store: OpenStore) -> None:
    """The store takes no more writes, durably."""
    assert store.database is not None
    await in_thread(store.database.demote)


async def until_saved(
    save: Callable[[], Awaitable[None]], meanwhile: Callable[[], None] = lambda: None
) -> None:
    """Saves, and tries again until that succeeds: the decision stands, and no other change may come first.

    `meanwhile` is called after each failure. Raises PoisonedError: a store that stopped saves nothing more.
    """
    while True:
        try:
            return await save()
        except PoisonedError:
            raise
        except (StoreError, OSError) as error:
            log.error("role.not_saved", reason=str(error))
            meanwhile()
            await asyncio.sleep(RETRY_SECONDS)
