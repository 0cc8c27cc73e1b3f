"""The pages of `docs/runbook/`: each finding names the one that says what to do, step by step."""

from __future__ import annotations

from enum import StrEnum


class Runbook(StrEnum):
    """By the name of the file without its ending. Alerts and notes of operators count on the names."""

    ANOTHER_DATABASE = "another-database"
    BOOTSTRAP = "bootstrap"
    CERTIFICATE = "certificate"
    CLIENTS_LIMIT = "clients-limit"
    DAMAGED_BACKUP = "damaged-backup"
    DAMAGED_PRIMARY = "damaged-primary"
    DAMAGED_REPLICA = "damaged-replica"
    DIFFERENT_DATA = "different-data"
    DISCARDED_WRITES = "discarded-writes"
    DIVERGED_NODE = "diverged-node"
    DOUBTING_PRIMARY = "doubting-primary"
    DROPPED_LOG_LINES = "dropped-log-lines"
    ETCD = "etcd"
    FAILED_BACKUP = "failed-backup"
    FAILED_STORE = "failed-store"
    FAILOVER = "failover"
    FENCED_NODE = "fenced-node"
    FULL_DISK = "full-disk"
    INTERNAL_ERRORS = "internal-errors"
    LAG = "lag"
    LINK_BETWEEN_PRIMARIES = "link-between-primaries"
    LOG_ARCHIVE = "log-archive"
    LOST_LINK = "lost-link"
    LOST_MOUNT = "lost-mount"
    MISSING_REPLICA = "missing-replica"
    NO_PRIMARY = "no-primary"
    PAUSED_CLIENTS = "paused-clients"
    PAUSED_REPLICA = "paused-replica"
    REFUSED_STATUS = "refused-status"
    RESTORE_REFUSED = "restore-refused"
    ROLE_CHANGE = "role-change"
    SLOT = "slot"
    SLOW_DISK = "slow-disk"
    STOPPED_LINK = "stopped-link"
    TWO_PRIMARIES = "two-primaries"
    UNREACHABLE_NODE = "unreachable-node"
    WRONG_CLOCK = "wrong-clock"

    @property
    def path(self) -> str:
        return f"docs/runbook/{self}.md"
