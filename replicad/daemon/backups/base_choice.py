"""Which backup a new replica begins with: pure decisions over histories.

A backup is judged as a replica would be that holds what the backup holds (`agree`), so a restored replica is
one that its primary lets follow:

    agree says                                 the backup
    -----------------------------------------  -----------------------------------------------------
    STREAM, or that log is gone                is taken: whether log is gone, the primary says later
    REWIND, or another history                 is passed over: its timeline was abandoned
    ahead in the same epoch, or a later epoch  is refused: the primary is old, or is not the primary
    another database                           is refused, if there is no backup of the primary's
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum

from replicad.errors import BackupRefusedError
from replicad.replication.policy.agree import Code, History, agree


class Fit(Enum):
    TAKEN = "taken"
    PASSED_OVER = "passed over"
    REFUSED = "refused"


_FITS = {
    Code.SAME_HISTORY: Fit.TAKEN,
    Code.LOG_GONE: Fit.TAKEN,
    Code.BEYOND_FORK: Fit.PASSED_OVER,
    Code.DIVERGED: Fit.PASSED_OVER,
    Code.OTHER_EPOCH_ID: Fit.PASSED_OVER,
    Code.UNKNOWN_FORK: Fit.PASSED_OVER,
    Code.REPLICA_AHEAD: Fit.REFUSED,
    Code.HIGHER_EPOCH: Fit.REFUSED,
}


def fit_of(primary: History, backup: History) -> tuple[Fit, str]:
    """What becomes of a backup of the primary's database, and why."""
    assert primary.database_id == backup.database_id

    # What the primary's log holds is not known yet: only where the histories are.
    decision = agree(primary, backup, found=None, oldest=0)
    there, here = backup.position, primary.position
    match decision.code:
        case Code.BEYOND_FORK:
            reason = f"it is at {there}, beyond the fork at {decision.fork}: its timeline was abandoned"
        case Code.HIGHER_EPOCH:
            reason = f"it is of epoch {there.epoch}, and the primary is in {here.epoch}: another was promoted"
        case Code.REPLICA_AHEAD:
            reason = f"it is at {there}, ahead of the primary at {here}: the primary lost data"
        case _:
            reason = decision.reason
    return _FITS[decision.code], reason


def check_databases(target: str, wanted: bytes, there: Collection[bytes]) -> None:
    """Raises BackupRefusedError where the target has no backup of the primary's database."""
    if wanted in there:
        return
    fetch = "or start without from_backup, and a copy is fetched from the primary"
    if there:
        others = ", ".join(sorted(id.hex() for id in there))
        raise BackupRefusedError(
            "wrong-backup",
            f"{target} has backups of database {others}, and none of the primary's, which is database "
            f"{wanted.hex()}: name the target of that one, {fetch}",
        )
    raise BackupRefusedError(
        "no-backup",
        f"{target} has no backup: is its disk mounted? Make one with `replicad backup create --node PRIMARY "
        f"{target}`, {fetch}",
    )


def ahead(target: str, backup: int, reason: str) -> BackupRefusedError:
    """The primary that is followed is not what the backup comes from."""
    return BackupRefusedError(
        "backup-ahead",
        f"backup {backup} at {target} is not restored: {reason}; name the right primary, or give the "
        f"backup up with `replicad backup delete {target} {backup}`",
    )
