"""What a primary does that may have lost log which its replicas have: pure functions.

Under "async" log is sent before it is durable, and a loss of power may take it from the primary alone.
Sequence numbers of an epoch are never given twice, so after such a loss the primary writes in a new epoch
only: it begins one after what it has, or after what a replica gave back to it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeVar

from replicad.replication.policy.roles import Stored, View, is_further
from replicad.state.records import RoleRecord

Where = TypeVar("Where")

SEARCH = ""
"""In place of a run of the operating system: the search for what was lost has begun, and has not ended."""


def may_have_lost(record: RoleRecord | None, stored: Stored | None, *, boot_id: str, doubted: bool) -> bool:
    """Whether replicas may have more of the node's last epoch than its own log, when it starts as a primary.
    `boot_id` is this run of the operating system; `doubted`: a sync of the log failed. The cases, in the
    order they are tried:

    log was sent before it was durable                      may have lost some
    ------------------------------------------------------  ------------------
    never, or there was a clean stop since                  no
    in an epoch before the last one                         no
    and the search for it was begun, but not ended          yes
    and the data was replaced by a copy since               no
    in this run of the operating system, no sync failed     no
    anything else                                           yes
    """
    if record is None or stored is None or record.ahead_epoch is None:
        return False
    if stored.epoch > record.ahead_epoch:
        return False
    if record.ahead_boot == SEARCH:
        return True
    if not stored.is_owner:
        return False
    return record.ahead_boot != boot_id or doubted


def furthest(me: View, others: Mapping[Where, View], but: Collection[Where]) -> Where | None:
    """Who has most of this node's own epoch, and more than itself; `but` those who could not give it back."""
    able = {
        where: other.position.sequence
        for where, other in others.items()
        if where not in but
        and me.position is not None
        and other.position is not None
        and other.position.epoch == me.position.epoch
        and is_further(me, other)
    }
    return max(able, key=lambda where: able[where], default=None)
