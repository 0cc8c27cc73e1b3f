"""What a node shows of itself in its state, for programs that read it while the node is down.

Written when it changed: looked at about once a second, and at once when a part says so.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace

from replicad.daemon.open_store import OpenStore
from replicad.daemon.own_standing import OwnStanding
from replicad.daemon.process.notify import notify
from replicad.daemon.records import NodeRecords
from replicad.daemon.roles.node_link import NodeLink
from replicad.daemon.roles.role_memory import RoleMemory
from replicad.daemon.status import replica_views
from replicad.env import Clock
from replicad.env.events import get_logger
from replicad.errors import StoreError
from replicad.state import Shown

log = get_logger("replicad.daemon")

LOOK_SECONDS = 1.0
REPEAT_SECONDS = 10.0
"""After so long the state is written again although only the time has changed: the node still runs."""
LINK_CHARACTERS_MAX = 1000


def status_line(shown: Shown, lag_seconds: float | None, replica_lags: Sequence[float]) -> str:
    """What the service manager shows of a node: role, position, and how far it or its replicas are behind."""
    parts = [f"{shown.role} at {shown.position or 'no data yet'}"]
    if shown.link is not None:
        parts.append(shown.link)
    if lag_seconds is not None:
        parts.append(f"{lag_seconds:.1f} s behind")
    if replica_lags:
        count = len(replica_lags)
        parts.append(f"{count} replica{'' if count == 1 else 's'}, at most {max(replica_lags):.1f} s behind")
    return ", ".join(parts)


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
            notify(f"STATUS={self._line(shown)}")
            try:
                await self._records.show(shown)
            except StoreError as error:
                # Nothing depends on it, so a full disk does not end the node here.
                log.warning("state.not_shown", reason=str(error))

    def _line(self, shown: Shown) -> str:
        feed, follower = self._store.feed, self._link.follower
        return status_line(
            shown,
            None if follower is None else follower.ages.lag_seconds,
            [] if feed is None else [replica.lag_seconds for replica in replica_views(feed)],
        )

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
