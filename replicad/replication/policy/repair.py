"""When a replica may have its data replaced by a copy because it is not to be trusted: a pure function."""

from __future__ import annotations

from replicad.replication.policy.agree import History


def may_repair(replica: History, primary: History) -> str | None:
    """Why not, or None. The copy must hold all that the replica's history says, at least."""
    if replica.database_id != primary.database_id:
        return "the copy is of another database"
    ours, theirs = replica.position, primary.position
    if theirs.epoch < ours.epoch:
        return f"the copy is of epoch {theirs.epoch}, this replica is in {ours.epoch}"
    if theirs.sequence < ours.sequence:
        return f"the copy ends at {theirs.sequence}, this replica stands at {ours.sequence}"
    return None
