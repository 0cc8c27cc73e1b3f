"""What of the archived log may go: a pure decision.

Log before a backup serves only to reach positions from an older backup. So what goes is always everything up
to the position of one backup that stays, and the chain from that one on is whole.
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass

from replicad.backup.archive.names import LogObject
from replicad.types import Position


@dataclass(frozen=True, slots=True)
class Base:
    """A backup that log can be applied to."""

    position: Position
    commit_time_us: int


def log_to_drop(
    objects: Many[LogObject],
    bases: Many[Base],
    *,
    now_us: int,
    keep_seconds: float | None = None,
    keep_backups: int | None = None,
) -> list[LogObject]:
    """The objects that neither limit needs any more; none without limits, and none without backups.

    `keep_seconds`: every moment since then can still be restored. `keep_backups`: so can everything since
    that many backups ago. With both, what either needs stays. `bases` and `objects` are of one database.
    """
    if not bases or (keep_seconds is None and keep_backups is None):
        return []
    ordered = sorted(bases, key=lambda base: base.position.sequence)
    starts = []
    if keep_backups is not None:
        starts.append(ordered[-min(max(keep_backups, 1), len(ordered))])
    if keep_seconds is not None:
        early = [base for base in ordered if base.commit_time_us <= now_us - keep_seconds * 1e6]
        starts.append(early[-1] if early else ordered[0])
    first = min(base.position.sequence for base in starts)
    return [each for each in objects if each.last <= first]
