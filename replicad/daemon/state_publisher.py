"""What a node shows of itself in its state, for programs that read it while the node is down.

Written when it changed: looked at about once a second, and at once when a part says so.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

from replicad.daemon.open_store import OpenStore
from replicad.daemon.own_standing import OwnStanding
from replicad.daemon.process.notify import notify
from replicad.daemon.records import NodeRecords
from replicad.daemon.roles.node_link import NodeLink
from replicad.daemon.roles.role_memory import RoleMemory
from replicad.env import Clock
from replicad.env.events import get_logger
from replicad.errors import StoreError
from replicad.state import Shown

log = get_logger("replicad.daemon")

LOOK_SECONDS = 1.0
REPEAT_SECONDS = 10.0
"""After so long the state is written again although only the time has changed: the node still runs."""
LINK_CHARACTERS_MAX = 1000


class StatePublisher:
    def __init__(
        self,
        clock: Clock,
        records: NodeRecords,
        *,
        standing: OwnStanding,
        store: OpenStore,
        memory: RoleMemory,
        link: NodeLink,
    ) -> None:
        self._clock = clock
        self._records = records
        self._standing = standing
        self._store = store
        self._memory = memory
        self._link = link
        self._nudged = asyncio.Event()
        self._last: Shown | None = None

    def nudge(self) -> None:
        """The state changed: publish it now."""
        self._nudged.set()

    async def run(self) -> None:
        """Never returns."""
        while True:
            await self.publish()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._nudged.wait()
            self._nudged.clear()

    async def publish(self) -> None:
        """Writes the state, unless nothing but the time has changed since the last time."""
        shown = self.state()
        last = self._last
        if (
            last is None
            or replace(shown, at_us=last.at_us) != last
            or shown.at_us - last.at_us > REPEAT_SECONDS * 1e6
        ):
            self._last = shown
            notify(f"STATUS={shown.role} at {shown.position or 'no data yet'}, {shown.link or 'serving'}")
            try:
                await self._records.show(shown)
            except StoreError as error:
                # Nothing depends on it, so a full disk does not end the node here.
                log.warning("state.not_shown", reason=str(error))

    def state(self) -> Shown:
        store, follower, primary = self._store.database, self._link.follower, self._memory.primary
        link = None
        if follower is not None:
            link = f"{follower.link.state}: {follower.link.waits_for}".rstrip(": ")[:LINK_CHARACTERS_MAX]
        return Shown(
            role=self._standing.role,
            database_id=None if store is None else store.database_id,
            # Durable, so that a loss of power takes nothing of it back.
            position=None if store is None else str(store.durable_position),
            primary_address=None if primary is None else str(primary),
            link=link,
            at_us=self._clock.wall_us(),
        )
