"""From a batch of the log to what a link carries, and back: the two ends of a link, as pure functions.

    a client's writes --stamped--> a batch of the log --LinkReader--> LinkBatch ~~~> judge --written-->
                                                                                 a batch of the target's log

Families are named: each primary has ids of its own for them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from replicad.replication.links.annotation import MAGIC, PREFIX, Provenance, decode_provenance
from replicad.replication.links.merge import UNSTAMPED, Applied, LinkBatch, LinkOperation, joined
from replicad.replication.links.records import (
    HORIZON_KEY,
    ORIGINS,
    STAMPS,
    SYSTEM_PREFIX,
    KeyStamp,
    OriginRecord,
    decode_key_stamp,
    decode_origin,
    split_stamp_key,
    stamp_key,
)
from replicad.replication.links.stamps import Stamp

FamilyIdOf = Callable[[str], int]


class Write(NamedTuple):
    """`value` is None for a delete."""

    family: str
    key: bytes
    value: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """One batch of a primary's log."""

    epoch: int
    fork: int
    """After which sequence number the epoch begins."""
    last: int
    writes: tuple[Write, ...]
    annotations: tuple[bytes, ...] = ()


def stamped(
    writes: Iterable[Write], linked: Collection[str], stamp: Stamp, seen_us: int, family_id: FamilyIdOf
) -> list[Write]:
    """What goes into the same batch as these writes of a client: the stamps of keys in linked families, and
    the clock. Nothing where no family of them is linked."""
    stamps = [
        Write(
            STAMPS,
            stamp_key(family_id(each.family), each.key),
            KeyStamp(stamp, each.value is None).encode(),
        )
        for each in writes
        if each.family in linked
    ]
    return [*stamps, clock_write(stamp.origin, stamp.time_us, seen_us)] if stamps else []


def clock_write(own: bytes, last_us: int, seen_us: int) -> Write:
    """Has the next process, and who reads the log, know the clock: no later stamp has this time. And what
    has been seen here."""
    return Write(ORIGINS, own, OriginRecord(frontier_us=last_us, seen_us=seen_us).encode())


def written(
    applied: Applied, origin: bytes, new_members: Iterable[bytes], family_id: FamilyIdOf
) -> list[Write]:
    """What the target writes for a batch: data, stamps, and how far the origin is, all in one batch.
    `new_members` are those of the batch that have no record here."""
    if applied.is_astray:
        return merged(applied.won, family_id)
    place = Write(ORIGINS, origin, applied.origin.encode())
    return [*merged(applied.won, family_id), place, *map(introduced, new_members)]


def log_data_of(applied: Applied, batch: LinkBatch) -> tuple[bytes, ...]:
    """Of the batch that the target writes."""
    theirs = batch.annotations if applied.won else ()
    return theirs if applied.is_astray else (batch.provenance.encode(), *theirs)


def introduced(member: bytes) -> Write:
    """A primary that is linked from here on. Who seeds it writes this before the cut, and the new member's
    clock begins after the clock that its source had then. So a node that has heard of a later clock of that
    source has heard of the member, and removes no stamp that the member's first writes are older than."""
    return Write(ORIGINS, member, OriginRecord().encode())


def merged(won: Iterable[LinkOperation], family_id: FamilyIdOf) -> list[Write]:
    """The data and the stamps of operations that won. One without a stamp leaves none."""
    found: list[Write] = []
    for each in won:
        found.append(Write(each.family, each.key, each.value))
        if each.stamp != UNSTAMPED:
            key = stamp_key(family_id(each.family), each.key)
            found.append(Write(STAMPS, key, KeyStamp(each.stamp, each.value is None).encode()))
    return found


def seeded(
    here: Mapping[bytes, OriginRecord], there: Mapping[bytes, OriginRecord], *, own: bytes, source: bytes
) -> list[tuple[Provenance, Write]]:
    """How far the origins are after a seed, a batch for each: its annotation, and what it writes.

    `here` are the records of this primary, `there` those of the source at the cut, with the cut as its own.
    Who reads this log further gets them behind the parts of the seed, and is as far then.
    """
    found = []
    for origin, record in there.items():
        before = here.get(origin, OriginRecord())
        after = joined(before, record)
        if origin == own or after == before:
            continue
        provenance = Provenance(
            origin=origin,
            peer=source,
            epoch=after.epoch,
            fork=after.sequence,
            first=before.sequence + 1,
            last=after.sequence,
            frontier_us=after.frontier_us,
            hops=1,
        )
        found.append((provenance, Write(ORIGINS, origin, after.encode())))
    return found


class LinkReader:
    """The source's end: what becomes of each batch of its log, in order."""

    def __init__(
        self,
        own: bytes,
        through: int,
        carried: Callable[[str, bytes], bool],
        family_name: Callable[[int], str | None],
    ) -> None:
        """`own` is the database id; everything of its own through `through` is known to the target.
        `carried` says of a family and a key whether the link carries it."""
        self._own = own
        self._through = through
        self._carried = carried
        self._family_name = family_name

    def read(self, batch: Logged) -> LinkBatch | None:
        """None for a batch that the link does not carry: the next one of the same origin says so."""
        stamps, records = self._system(batch)
        ours = next((each for each in batch.annotations if each.startswith(MAGIC)), None)
        if ours is None:
            provenance = self._first_hand(batch, records)
        else:
            provenance = decode_provenance(ours)
            provenance = replace(provenance, peer=self._own, hops=provenance.hops + 1)
        if provenance is None:
            return None

        operations = tuple(
            LinkOperation(*each, stamps.get((each.family, each.key), UNSTAMPED))
            for each in batch.writes
            if self._carried(each.family, each.key)
        )
        theirs = tuple(each for each in batch.annotations if not each.startswith(PREFIX))
        return LinkBatch(
            provenance=provenance,
            operations=operations,
            annotations=theirs if operations else (),
            members=tuple(
                origin
                for origin, record in records.items()
                if origin not in (self._own, provenance.origin) and not record.is_gone
            ),
            seen_us=records.get(provenance.origin, OriginRecord()).seen_us,
        )

    def _system(self, batch: Logged) -> tuple[dict[tuple[str, bytes], Stamp], dict[bytes, OriginRecord]]:
        stamps: dict[tuple[str, bytes], Stamp] = {}
        records: dict[bytes, OriginRecord] = {}
        for each in batch.writes:
            if each.value is None or not each.family.startswith(SYSTEM_PREFIX):
                continue
            if each.family == STAMPS and each.key != HORIZON_KEY:
                family, key = split_stamp_key(each.key)
                name = self._family_name(family)
                if name is not None:
                    stamps[name, key] = decode_key_stamp(each.value).stamp
            elif each.family == ORIGINS:
                records[each.key] = decode_origin(each.value)
        return stamps, records

    def _first_hand(self, batch: Logged, records: dict[bytes, OriginRecord]) -> Provenance | None:
        """A batch that was made here is carried when it moves the clock: those with stamps do, and ticks."""
        clock = records.get(self._own)
        if clock is None:
            return None
        first, self._through = self._through + 1, batch.last
        return Provenance(
            origin=self._own,
            peer=self._own,
            epoch=batch.epoch,
            fork=batch.fork,
            first=first,
            last=batch.last,
            frontier_us=clock.frontier_us,
            hops=1,
        )
