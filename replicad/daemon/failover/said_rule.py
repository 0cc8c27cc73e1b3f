"""The rule that etcd has of this leader, written down: for an etcd that loses it, and a leader that is
started again. Belongs to the event loop.
"""

from __future__ import annotations

from replicad.daemon.records import NodeRecords
from replicad.env.events import get_logger
from replicad.env.reasons import reason_of
from replicad.errors import StoreError
from replicad.replication.policy.failover.cluster import StatedRule
from replicad.state import RuleRecord
from replicad.state.node import NODE_ID_BYTES

log = get_logger("replicad.daemon")

REPLICAS_MAX = 250
"""A longer list does not fit into a record: then there is none."""


class SaidRule:
    def __init__(self, me: str, records: NodeRecords) -> None:
        self._me = me
        self._records = records
        self._record = records.state.view().rule
        self._failed: str | None = None

    def of(self, database_id: bytes) -> StatedRule | None:
        """The last one that counted. It says no more that the leader has all: an etcd that lost the rule may
        have lost a later epoch as well, and what began that."""
        record = self._record
        if record is None or record.database_id != database_id:
            return None
        ids = record.replicas.hex()
        step = 2 * NODE_ID_BYTES
        replicas = frozenset(ids[at : at + step] for at in range(0, len(ids), step))
        return StatedRule(self._me, record.epoch, record.count, replicas, leader_has_all=False)

    async def keep(self, rule: StatedRule, database_id: bytes) -> bool:
        """Whether it is durable here. Before that nothing may be acknowledged by it alone: an older rule that
        was stated again would have a candidate ask too few."""
        record = None
        if len(rule.replicas) <= REPLICAS_MAX:
            ids = bytes.fromhex("".join(sorted(rule.replicas)))
            record = RuleRecord(database_id=database_id, epoch=rule.epoch, count=rule.count, replicas=ids)
        if record == self._record:
            return True
        try:
            await self._records.put_rule(record)
        except (StoreError, OSError) as error:
            reason = reason_of(error)
            if reason != self._failed:
                log.error("failover.rule_not_saved", reason=reason)
            self._failed = reason
            return False
        self._record, self._failed = record, None
        return True
