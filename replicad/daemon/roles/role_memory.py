"""What this node was told to be, and which node it follows: the role record in its state.

`replication.policy.roles` says whether the record or the manifest and the log decide. Belongs to the event
loop.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from replicad.daemon.config import PrimaryConfig, ReplicaConfig
from replicad.daemon.records import NodeRecords
from replicad.net.addresses import Address, address_of
from replicad.replication.policy.epoch_proof import EPOCH_STEP_MAX
from replicad.replication.policy.roles import takes_role
from replicad.state import RoleRecord


class RoleMemory:
    def __init__(self, config: PrimaryConfig | ReplicaConfig, records: NodeRecords) -> None:
        self.verb: Literal["primary", "replica"] = (
            "replica" if isinstance(config, ReplicaConfig) else "primary"
        )
        self.record: RoleRecord | None = records.state.view().role
        self._records = records
        self._saved = self.record is not None
        self._configured = config.primary if isinstance(config, ReplicaConfig) else None
        self.takes_role = takes_role(self.record, flag=config.take_role_now, key=config.take_role)
        """Whether this start is to make the node what the verb says."""

        self.primary = self._remembered()
        """The replication address that is followed."""
        self.primary_clients = ""

    def _remembered(self) -> Address | None:
        """The configured primary, unless this node was told to follow another one since that was written."""
        configured, record = self._configured, self.record
        if record is None or record.primary is None:
            return configured
        # The operator has changed the configuration since the record was written, or asks for it now.
        if configured is not None and (self.takes_role or str(configured) != record.configured):
            return configured
        return address_of(record.primary) or configured

    @property
    def fenced_by(self) -> int | None:
        return None if self.record is None else self.record.fenced_by

    @property
    def granted_epoch(self) -> int | None:
        return None if self.record is None else self.record.granted_epoch

    @property
    def primary_node(self) -> bytes | None:
        """The id of the primary, also if other replicas are between, as it was last heard."""
        return None if self.record is None else self.record.primary_node

    @property
    def promised_epoch(self) -> int:
        """Nothing of a lower epoch is acknowledged; 0 without a promise."""
        return 0 if self.record is None else self.record.promised_epoch or 0

    @property
    def least_epoch(self) -> int:
        """The least epoch that this node may begin, as far as it knows of others."""
        # A fence that is further ahead than an epoch can be came from a false claim, and must not count.
        record = self.record
        if record is None:
            return 0
        known = (record.fenced_by or 0, record.granted_epoch or 0, record.promised_epoch or 0)
        return max((epoch for epoch in known if epoch < record.epoch + EPOCH_STEP_MAX), default=0) + 1

    async def save(self, epoch: int, **changes: Any) -> None:
        """The record with these changes, written in this epoch of the node's; durable when it returns."""
        before = self.record or RoleRecord(role=self.verb, epoch=epoch)
        record = replace(before, **{"epoch": epoch, **changes})
        if record != self.record or not self._saved:
            self.record, self._saved = record, False
            await self._records.put_role(record)
            self._saved = True

    async def save_following(self, epoch: int, **changes: Any) -> None:
        """The same for a replica: with whom it follows now, and what the configuration said then."""
        primary, configured = self.primary, self._configured
        await self.save(
            epoch,
            role="replica",
            primary=None if primary is None else str(primary),
            configured=None if configured is None else str(configured),
            **changes,
        )
