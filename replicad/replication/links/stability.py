"""Which stamps of deleted keys may go: those that nothing which can still arrive is older than.

Every origin says in its log up to which time it makes no stamps any more (`OriginRecord.frontier_us`), and
its batches come in order. So once all other origins are beyond a time, all writes of that time and before
have arrived here. A key that was deleted by then, and has no stamp any more, may be missing for good: what
comes with an older stamp, in a seed for instance, is known to be old by the *horizon*, which is kept.

Stamps of keys that are there stay: a seed is compared with them.
"""

from __future__ import annotations

from collections.abc import Mapping

from replicad.replication.links.records import KeyStamp, OriginRecord


def stable_through_us(origins: Mapping[bytes, OriginRecord], own: bytes) -> int:
    """Deletions with this time or an earlier one may be forgotten. 0 while there is no other origin."""
    others = [record.frontier_us for origin, record in origins.items() if origin != own]
    return min(others, default=0)


def is_forgotten(stamp: KeyStamp, through_us: int) -> bool:
    return stamp.is_deleted and stamp.stamp.time_us <= through_us
