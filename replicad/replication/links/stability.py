"""Which stamps of deleted keys may go: those that every primary has, and nothing which can still arrive is
older than.

Every origin says in its log up to which time it makes no stamps any more (`OriginRecord.frontier_us`), and
its batches come in order. So once all other origins are beyond a time, all writes of that time and before
have arrived here: this primary has *seen* that time, and says so in its log (`seen_us`). A deletion is
forgotten once all have seen its time. Before that, who is seeded needs it, to ship it on to those behind.

A key that was deleted by then, and has no stamp any more, may be missing for good: what comes with an older
stamp, in a seed for instance, is known to be old by the *horizon*, which is kept.

An origin that is silent for too long is not waited for. Then the horizon passes its frontier, and that shows
for ever: nothing of its log is taken any more until it was seeded (`merge`, `seeding`).

Stamps of keys that are there stay: a seed is compared with them.
"""

from __future__ import annotations

from collections.abc import Mapping

from replicad.replication.links.records import KeyStamp, OriginRecord


def stable_through_us(origins: Mapping[bytes, OriginRecord], own: bytes, silent_us: int = 0) -> int:
    """Deletions with this time or an earlier one may be forgotten. 0 while there is no other origin.

    An origin whose frontier is before `silent_us` is not waited for any longer. One that was never heard of
    is: it may be about to come.
    """
    times = [
        max(min(record.frontier_us, record.seen_us), silent_us) if record.frontier_us else 0
        for origin, record in origins.items()
        if origin != own and not record.is_gone
    ]
    return min(times, default=0)


def seen_through_us(origins: Mapping[bytes, OriginRecord], own: bytes) -> int:
    """All writes of other origins with this time or an earlier one are here."""
    others = (record for origin, record in origins.items() if origin != own and not record.is_gone)
    return min((record.frontier_us for record in others), default=0)


def is_forgotten(stamp: KeyStamp, through_us: int) -> bool:
    return stamp.is_deleted and stamp.stamp.time_us <= through_us
