"""What becomes of a batch that arrives on a link: a pure function, and its table of cases.

    the batch                                                   verdict
    ----------------------------------------------------------  -----------------------------
    was made here                                               DROPPED: it has come home
    came over more than HOPS_MAX links                          LinkBroken
    is in the origin's log at or before what was applied        DROPPED: it came by another way
    is of an epoch before that, and wins something              APPLIED, as of a seed: the origin lost it
    begins after what was applied                               LinkBroken: something was lost
    is of a later epoch that began before what was applied      LinkBroken: the origin lost what is here
    is of an origin whose frontier is before the horizon,       LinkBroken: it was silent for too long
    or that was not heard of for longer than it may be silent
    else                                                        APPLIED: each operation whose stamp is larger

Last writer wins for each key by itself, so merging is a join: in whatever order batches of several origins
arrive, and however often, all primaries end with the same values. What is not applied of a batch is not
shipped further either: who reads this log gets what won over it.

A key without a stamp is part of what the first linked primary held before it was linked: older than all that
has a stamp. The stamps of deleted keys go in time (`stability`). From then on a key that is not there may
have been deleted at any time through the *horizon*: a write that is not newer loses.

A *newcomer*, which no other primary knows yet, takes all that its source holds, in place of what it held
itself before it was linked. It has no horizon. Primaries that are linked both ways at the same moment know
each other, and both have values without stamps: then the larger value stays, on both sides. That is over once
the horizon has moved: what has no stamp is known everywhere by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from replicad.errors import ReplicationError
from replicad.replication.links.annotation import HOPS_MAX, Provenance
from replicad.replication.links.records import KeyStamp, OriginRecord
from replicad.replication.links.stamps import AHEAD_US_MAX, Stamp

UNSTAMPED = Stamp(0, b"")
"""Older than every other one."""


class LinkBroken(ReplicationError):
    """A link cannot go on: its source, or what is between, did not keep its word. Time does not mend it."""


class ClockAhead(LinkBroken):
    """Of a clock that is a little wrong: `seconds` later the same can be taken."""

    def __init__(self, reason: str, seconds: float) -> None:
        super().__init__(reason)
        self.seconds = seconds


class LinkOperation(NamedTuple):
    """One write of a key in a linked family; `value` is None for a delete."""

    family: str
    key: bytes
    value: bytes | None
    stamp: Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkBatch:
    """What a link carries: one batch of its origin, as far as it is linked."""

    provenance: Provenance
    operations: tuple[LinkOperation, ...] = ()
    annotations: tuple[bytes, ...] = ()
    """Of the application, bytes unchanged."""
    members: tuple[bytes, ...] = ()
    """Origins that are linked from here on: nothing is stable before they have been heard of."""
    seen_us: int = 0
    """What its origin had seen of all others."""

    @property
    def newest_us(self) -> int:
        return max((operation.stamp.time_us for operation in self.operations), default=0)


class KeyHere(NamedTuple):
    """What is here of a key: its value (None: nothing, or deleted) and its stamp, where it has one."""

    value: bytes | None
    stamp: KeyStamp | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """`won` is to be written in one batch with `origin`; `lost` was older than what is here."""

    origin: OriginRecord
    won: tuple[LinkOperation, ...]
    lost: tuple[LinkOperation, ...]
    is_astray: bool = False
    """The batch has no place in the origin's log any more: what won is written as what wins of a seed."""


def judge(
    batch: LinkBatch,
    *,
    own: bytes,
    known: OriginRecord,
    now_us: int,
    horizon_us: int,
    silence_us: int,
    present: Callable[[str, bytes], KeyHere],
) -> Applied | None:
    """What to write, or None for a batch that is to be dropped.

    `own` is the database id of this primary, `known` how far the batch's origin is here, `now_us` the wall
    clock, `horizon_us` that of deleted keys; an origin may be silent for `silence_us` (0: for ever).
    `present` finds what is here of a key. Raises LinkBroken.
    """
    came = batch.provenance
    if came.origin == own:
        return None
    _check_way(batch, now_us)

    if (came.epoch, came.last) <= (known.epoch, known.sequence):
        return _astray(batch, known, horizon_us, present) if came.epoch < known.epoch else None
    _check_place(came, known)
    _check_silence(came, known, horizon_us, silence_us)

    origin = OriginRecord(
        came.epoch,
        came.last,
        max(known.frontier_us, came.frontier_us),
        batch.seen_us if known.is_gone else max(known.seen_us, batch.seen_us),
    )
    won, lost = divide(batch.operations, present, horizon_us)
    return Applied(origin=origin, won=won, lost=lost)


def _astray(
    batch: LinkBatch, known: OriginRecord, horizon_us: int, present: Callable[[str, bytes], KeyHere]
) -> Applied | None:
    """A batch of an older epoch came by another way before, or a promotion lost it: then it wins here."""
    won, _ = divide(batch.operations, present, horizon_us)
    return Applied(origin=known, won=won, lost=(), is_astray=True) if won else None


def joined(here: OriginRecord, there: OriginRecord) -> OriginRecord:
    """How far an origin is after a seed from a primary where it was that far."""
    place = max((here.epoch, here.sequence), (there.epoch, there.sequence))
    frontier_us = max(here.frontier_us, there.frontier_us)
    return OriginRecord(*place, frontier_us, max(here.seen_us, there.seen_us))


def divide(
    operations: Iterable[LinkOperation], present: Callable[[str, bytes], KeyHere], horizon_us: int | None
) -> tuple[tuple[LinkOperation, ...], tuple[LinkOperation, ...]]:
    """Those that win over what is here, and those that lose. Of one key in one batch the last one counts."""
    newest = {(operation.family, operation.key): operation for operation in operations}
    won: list[LinkOperation] = []
    lost: list[LinkOperation] = []
    for operation in newest.values():
        is_newer = wins(operation, present(operation.family, operation.key), horizon_us)
        (won if is_newer else lost).append(operation)
    return tuple(won), tuple(lost)


def wins(operation: LinkOperation, here: KeyHere, horizon_us: int | None) -> bool:
    """Whether a write replaces what is here. `horizon_us` is None for a newcomer."""
    if here.stamp is not None:
        return operation.stamp > here.stamp.stamp
    if horizon_us is None:
        return True
    if operation.stamp != UNSTAMPED:
        return here.value is not None or operation.stamp.time_us > horizon_us
    if operation.value is None or horizon_us:
        return False
    return here.value is None or operation.value > here.value


def _check_way(batch: LinkBatch, now_us: int) -> None:
    came = batch.provenance
    origin = came.origin.hex()
    if came.hops > HOPS_MAX:
        raise LinkBroken(
            f"a batch of {origin} came over {came.hops} links, more than {HOPS_MAX}, last from "
            f"{came.peer.hex()}: that node does not drop what it has seen"
        )
    check_times(origin, (batch.newest_us, came.frontier_us), now_us)


def check_times(origin: str, times_us: Iterable[int], now_us: int) -> None:
    """Raises ClockAhead for a time that a clock which is right cannot have given: this primary's clock would
    follow it."""
    ahead_us = max(times_us, default=0) - now_us
    if ahead_us > AHEAD_US_MAX:
        ahead = f"{ahead_us / 1e6:.1f} s ahead of the clock here"
        raise ClockAhead(
            f"a stamp of {origin} is {ahead}: one of the clocks is wrong", (ahead_us - AHEAD_US_MAX) / 1e6
        )


def _check_silence(came: Provenance, known: OriginRecord, horizon_us: int, silence_us: int) -> None:
    """An origin that was introduced and never heard of yet has no frontier: its stamps are newer.

    Others may have forgotten what this primary has not, too, and not wait for it: a frontier that jumps by
    that much comes from a seed, which does not say what was forgotten.
    """
    if not known.frontier_us:
        return
    jumps = 0 < silence_us < came.frontier_us - known.frontier_us
    if jumps or known.frontier_us < horizon_us:
        raise LinkBroken(
            f"{came.origin.hex()} was silent for so long that deletions were forgotten which its writes "
            f"would have to be compared with: seed this link again, and those to the other primary"
        )


def _check_place(came: Provenance, known: OriginRecord) -> None:
    origin = came.origin.hex()
    if came.epoch > known.epoch and came.fork < known.sequence:
        raise LinkBroken(
            f"{origin} lost batches that are here: its epoch {came.epoch} begins after {came.fork}, and "
            f"{known.sequence} of epoch {known.epoch} was applied; seed the link again"
        )
    if came.first > known.sequence + 1:
        raise LinkBroken(
            f"batches {known.sequence + 1} to {came.first - 1} of {origin} did not come from "
            f"{came.peer.hex()}: seed the link again"
        )
