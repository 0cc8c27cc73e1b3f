"""Whether replicas get log before it is durable here, and the record that says so.

Under "async" a loss of power may take log that replicas have already. The next start must know that, or it
would give the same sequence numbers to other writes. So a record comes first, durably: in which epoch such
log is sent, and in which run of the operating system.

    allow          record: epoch e, boot b                       before the first frame
    clean stop     record cleared                                all of the log is durable
    a start        boot b still runs: what a killed process wrote is in the page cache, and nothing is lost
                   otherwise: replicas may have more of epoch e than this node (`lost_tail`)

A replica needs no record for what it passes on: the numbers are its primary's. Belongs to the event loop.
"""

from __future__ import annotations

from replicad.daemon.open_store import OpenStore
from replicad.daemon.own_standing import OwnStanding
from replicad.daemon.roles.role_memory import RoleMemory
from replicad.env.events import get_logger
from replicad.errors import StoreError
from replicad.replication.policy.roles import Standing
from replicad.store.database import Database

log = get_logger("replicad.daemon")

_REPLICAS = frozenset({Standing.FOLLOWING, Standing.FENCED})
"""Not PROMOTING: the first frame of an epoch must be durable before anybody gets it."""


class SentAheadRecord:
    """Satisfies replication's `SentAhead`."""

    def __init__(
        self, durability: str, boot_id: str, *, standing: OwnStanding, store: OpenStore, memory: RoleMemory
    ) -> None:
        self._is_async = durability == "async"
        self._boot_id = boot_id
        self._standing = standing
        self._store = store
        self._memory = memory

    @property
    def is_allowed(self) -> bool:
        if not self._is_async:
            return False
        store, record = self._store.database, self._memory.record
        if store is not None and store.role == "replica" and self._standing.current in _REPLICAS:
            return True
        return (
            record is not None
            and record.ahead_epoch == self._store.epoch
            and record.ahead_boot == self._boot_id
        )

    async def allow(self) -> None:
        epoch = self._store.epoch
        if self._is_async and not self.is_allowed and self._standing.role == "primary":
            try:
                await self._memory.save(epoch, ahead_epoch=epoch, ahead_boot=self._boot_id)
            except StoreError as error:
                # Until it is written only durable log is sent.
                log.warning("state.not_saved", reason=str(error))

    async def forget(self, store: Database) -> None:
        """All of the log is durable, and nothing more will be written: the store was closed."""
        record = self._memory.record
        if record is None or record.ahead_boot is None:
            return
        # A primary's store that is a replica's has a search before it that has not ended: it could not be
        # opened as what it is without the record of that.
        if record.role == "replica" or store.role == "owner":
            await self._memory.save(record.epoch, ahead_epoch=None, ahead_boot=None)
