"""When a replica applies what it has received: its delay, and the point at which it was told to stand still.

Pure. A batch is applied when its commit time is at least the delay in the past by this node's wall clock, and
no pause stands before it. Commit times never go back within a log, so that both rules allow a prefix of what
waits, whatever the clocks do: a clock that is set back makes batches wait longer, and never the other way.

The question of a promotion is decided here as well: what happens to batches that wait.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from replicad.types import Position
from replicad.units import show_time


@dataclass(frozen=True, slots=True)
class WaitingBatch:
    """What is asked about a batch: the end of it, since a batch is applied whole or not at all."""

    last_sequence: int
    commit_time_us: int


@dataclass(frozen=True, slots=True)
class PausePoint:
    """The last batch to apply: by sequence number or by commit time, whichever is set; both count."""

    sequence: int | None = None
    time_us: int | None = None

    def allows(self, batch: WaitingBatch) -> bool:
        if self.sequence is not None and batch.last_sequence > self.sequence:
            return False
        return self.time_us is None or batch.commit_time_us <= self.time_us

    def __str__(self) -> str:
        if self.time_us is not None:
            return show_time(self.time_us)
        return f"sequence number {self.sequence}"


@dataclass(frozen=True, slots=True)
class ApplyRules:
    """What holds now: the configured delay and the pause, if there is one."""

    delay_us: int = 0
    pause: PausePoint | None = None

    @property
    def delays(self) -> bool:
        """Whether a batch that comes may have to wait."""
        return self.delay_us > 0 or self.pause is not None


def wait_us(batch: WaitingBatch, rules: ApplyRules, now_us: int) -> int | None:
    """How long this batch, the next one, has to wait still: 0 when it is applied now, None while a pause
    holds it, however old it becomes."""
    if rules.pause is not None and not rules.pause.allows(batch):
        return None
    if not rules.delay_us:
        return 0
    return max(0, batch.commit_time_us + rules.delay_us - now_us)


def due(batches: Iterable[WaitingBatch], rules: ApplyRules, now_us: int) -> int:
    """How many of these, from the first on, are applied now."""
    count = 0
    for batch in batches:
        if wait_us(batch, rules, now_us) != 0:
            break
        count += 1
    return count


def refuse_pause(point: PausePoint, applied: WaitingBatch) -> str | None:
    """Why a replica that has applied through `applied` cannot stand still at `point`; None when it can."""
    if point.allows(applied):
        return None
    return (
        f"this replica is beyond {point} already: it has applied everything through sequence number "
        f"{applied.last_sequence}, committed at {show_time(applied.commit_time_us)}"
    )


class AtOpening(Enum):
    """What becomes of received log that an opening finds."""

    KEEP = "keep"
    """It goes on: what of it is not applied waits."""
    CLEAR = "clear"
    """Everything in it is applied, or in a copy that took the place of the data."""
    SAVE = "save"
    """It continues another history than the store's: it is saved in `discarded/`, and removed."""
    DROP = "drop"
    """A loss of power took what it continues: it was never acknowledged as durable, and comes again."""


def at_opening(
    begin: Position, at: Position, *, has_end: bool, goes_through: bool, is_owner: bool
) -> AtOpening:
    """`begin` is that of the received log, `at` the position of the store, of an owner's where its epoch
    began; `has_end`: the store's history goes through the end of the received log; `goes_through`: the
    received log goes through `at`. The cases, in the order they are tried:

    the received log                                        a replica's     an owner's
    ------------------------------------------------------  --------------  --------------
    ends within the store's history                         CLEAR           CLEAR
    goes on from where the store is                         KEEP            SAVE
    begins after the store's end, in no earlier epoch       DROP            SAVE
    anything else is another history                        SAVE            SAVE

    An owner finds more only where its promotion was interrupted after the epoch had begun.
    """
    if has_end:
        return AtOpening.CLEAR
    if is_owner:
        return AtOpening.SAVE
    if goes_through:
        return AtOpening.KEEP
    # The store of a copy may end earlier as well: it is of a later epoch then.
    begins_later = begin.sequence > at.sequence and begin.epoch >= at.epoch
    return AtOpening.DROP if begins_later else AtOpening.SAVE


class AtPromotion(Enum):
    """What a promotion does with batches that were received and not applied."""

    APPLY = "apply"
    """All of them, whatever their commit time: nothing that was acknowledged is lost."""
    DISCARD = "discard"
    """Those through the pause are applied; the others are saved in `discarded/`."""


def at_promotion(pause: PausePoint | None, *, force: bool) -> tuple[AtPromotion, str | None]:
    """(what to do, why not). The cases:

    the replica         without force                   with force
    ------------------  ------------------------------  -----------------------------------------
    is not paused       applies all that waits          applies all that waits
    is to stand still   refused: resume it, or force    applies through the pause, saves the rest
    """
    if pause is None:
        return AtPromotion.APPLY, None
    if force:
        return AtPromotion.DISCARD, None
    return AtPromotion.DISCARD, (
        f"this replica is paused at {pause}, and batches after that would be lost; replicad replica-resume "
        "first, or --force keeps what is through the pause and saves the others in discarded/"
    )
