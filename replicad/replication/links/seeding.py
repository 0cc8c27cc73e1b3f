"""What becomes of a seed: of all that a source holds of a range of keys, and what is here of it. Pure.

    of a key the source has   and here is                              then
    ------------------------  ---------------------------------------  ------------------------------------
    a value, a deletion       anything                                 the larger stamp stays (`merge.wins`)
    a value                   nothing, and it is at or before the      a *late* write, written anew here
                              horizon, and was never seen here
    nothing                   a value without a stamp, of a newcomer   written anew here
    nothing                   a value at or before the source's        deleted: the source forgot when
                              horizon that the source has seen
    nothing                   such a value that it has never seen      a late write, written anew here
    nothing, or something     a write of the source from before the    written anew here: the source lost it,
    older                     cut                                      and takes nothing back that it made
    nothing                   another value after its horizon          stays: it is on its way there

A write is *late* when it was made at a site that nobody had heard of for so long that its stamps were not
waited for: it counts as written when it is found. Where something is left out, only the source's own writes
are known to have been seen by it: others' stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from replicad.replication.links.batches import Write
from replicad.replication.links.merge import UNSTAMPED, KeyHere, LinkOperation, divide
from replicad.replication.links.records import OriginRecord
from replicad.replication.links.stamps import Stamp


@dataclass(frozen=True, slots=True)
class SeedPlace:
    """A seed that is under way: the first cut, and how far its parts are here."""

    source: bytes
    epoch: int
    sequence: int
    origins: dict[bytes, OriginRecord]
    """How far they are at the source; the source itself is at the cut."""
    horizon_us: int = 0
    """That of the source."""
    partial: bool = False
    """Something was left out of what came to the source, or is left out of the seed: of others' writes nobody
    knows whether the source has seen them."""
    family: str = ""
    after: bytes | None = None

    @property
    def clock_us(self) -> int:
        """Every write that the source made up to this time is part of the seed, or was replaced."""
        return self.origins.get(self.source, OriginRecord()).frontier_us

    @property
    def forgotten(self) -> Stamp:
        """What is older, was seen by the source and is not there any more was deleted there. Later writes of
        the source have larger stamps."""
        return Stamp(min(self.horizon_us, self.clock_us), self.source)


class KeyRange(NamedTuple):
    """The keys behind `after`, through `upto`; None: from the first, to the last."""

    after: bytes | None
    upto: bytes | None

    def holds(self, key: bytes) -> bool:
        return (self.after is None or key > self.after) and (self.upto is None or key <= self.upto)


@dataclass(frozen=True, slots=True)
class Sorted:
    """What to write: `won` with the stamps that they have, `new` with one that is made now."""

    won: tuple[LinkOperation, ...]
    new: tuple[Write, ...]


def sort_part(
    family: str,
    part: Iterable[LinkOperation],
    alone: Iterable[tuple[bytes, KeyHere]],
    *,
    place: SeedPlace,
    present: Callable[[str, bytes], KeyHere],
    known: Mapping[bytes, OriginRecord],
    horizon_us: int | None,
) -> Sorted:
    """`alone` are the values here, in the same range, of keys that the part does not have. `known` says how
    far the origins are here; `horizon_us` is None for a newcomer."""
    won, lost = divide(part, present, horizon_us)
    gone: list[LinkOperation] = []
    new: list[Write] = []
    missing = list(alone)
    for each in lost:
        here = present(family, each.key)
        if _was_lost(here, each.stamp, place):
            new.append(Write(family, each.key, here.value))
        elif horizon_us and _is_late(each, here, known):
            new.append(Write(family, each.key, each.value))
        elif each.value is None and each.stamp <= place.forgotten and here.value is not None:
            # A later deletion may have been forgotten at the source, and this one is about to be.
            missing.append((each.key, here))
    for key, here in missing:
        if horizon_us is None:
            if here.stamp is None:
                new.append(Write(family, key, here.value))
            continue
        stamp = UNSTAMPED if here.stamp is None else here.stamp.stamp
        if place.partial and stamp.origin != place.source:
            continue
        if not place.horizon_us or stamp >= place.forgotten:
            if _was_lost(here, UNSTAMPED, place):
                new.append(Write(family, key, here.value))
        elif _was_seen(stamp, place.origins):
            gone.append(LinkOperation(family, key, None, place.forgotten))
        else:
            new.append(Write(family, key, here.value))
    return Sorted((*won, *gone), tuple(new))


def _was_lost(here: KeyHere, there: Stamp, place: SeedPlace) -> bool:
    """A write that the source made, which should be part of the seed and is not."""
    if here.stamp is None or here.stamp.stamp.origin != place.source:
        return False
    return there < here.stamp.stamp and here.stamp.stamp.time_us <= place.clock_us


def _is_late(lost: LinkOperation, here: KeyHere, known: Mapping[bytes, OriginRecord]) -> bool:
    is_missing = here.value is None and here.stamp is None
    return is_missing and lost.value is not None and not _was_seen(lost.stamp, known)


def _was_seen(stamp: Stamp, origins: Mapping[bytes, OriginRecord]) -> bool:
    """What has no stamp is seen everywhere once there is a horizon."""
    return stamp == UNSTAMPED or stamp.time_us <= origins.get(stamp.origin, OriginRecord()).frontier_us
