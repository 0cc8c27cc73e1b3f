"""Whether a higher epoch that a peer claims counts here: a pure function over both histories.

A higher epoch takes the writes from a primary for good. Anybody who reaches the replication port can claim
one, so it counts only with the record of how it came out of this node's own history, and only a bounded step
ahead. The cases, in the order they are tried:

    the claim                                                               counts
    ----------------------------------------------------------------------  ------------------------------
    is of an epoch that this node has reached                               yes: it claims nothing
    has no record of that epoch                                             no
    has an epoch that this node has, with another id                        no: it is another history
    is more than EPOCH_STEP_MAX ahead, or one of its records of another     no
    leaves out how it left this history (its oldest records are not sent)   if this node asked for it
    forks where this node has another history                               no
    forks beyond what this node has of its own last epoch                   if this node may have lost that,
    or
                                                                            asked for it
    anything else                                                           yes

This does not protect against a peer that means harm and knows the history, which any node tells. It keeps
nonsense away, and the next epoch can undo all that a claim does.
"""

from __future__ import annotations

from collections.abc import Callable

from replicad.replication.policy.agree import History, end_of
from replicad.types import Position

EPOCH_STEP_MAX = 256
"""Between two epochs that follow each other. A switchover makes one step; a promotion leaves out numbers that
the former primary may take, and those of others that it heard of."""


def why_unproven(
    me: History,
    other: History,
    position_at: Callable[[int], Position | None],
    *,
    may_be_behind: bool,
    asked: bool,
) -> str | None:
    """Why the epoch of `other` does not count, in words; None when it does.

    `position_at` gives this node's position at the end of the batch that holds a sequence number, None when
    its log no longer says. `may_be_behind`: others may have more of this node's last epoch than itself.
    `asked`: this node asked the other one, where it knew it to be.
    """
    claimed, mine = other.position.epoch, me.position.epoch
    if claimed <= mine:
        return None

    above = sorted(
        (record for record in other.epochs if record.epoch > mine), key=lambda record: record.epoch
    )
    if not above or above[-1].epoch != claimed:
        return f"epoch {claimed} is claimed without its record"

    ids = {record.epoch: record.id for record in me.epochs}
    for record in other.epochs:
        if ids.get(record.epoch, record.id) != record.id:
            return f"epoch {claimed} is of another history: epoch {record.epoch} has another id"

    # Steps are counted from this node's epoch, or from where the list begins when the oldest records were
    # left out. Without a bound, no later epoch could undo a claim of the last number.
    before = mine if above[0].fork.epoch <= mine else above[0].fork.epoch
    for record in above:
        if record.epoch - before > EPOCH_STEP_MAX:
            return f"epoch {record.epoch} is {record.epoch - before} ahead of {before}"
        before = record.epoch

    return _why_not_from_here(me, above[0].fork, position_at, may_be_behind=may_be_behind, asked=asked)


def _why_not_from_here(
    me: History,
    fork: Position,
    position_at: Callable[[int], Position | None],
    *,
    may_be_behind: bool,
    asked: bool,
) -> str | None:
    """Whether this node's history went through the fork, or may have."""
    if fork.epoch > me.position.epoch:
        return None if asked else f"it is not said how epoch {fork.epoch} came out of this node's history"
    end = me.position if fork.epoch == me.position.epoch else end_of(me, fork.epoch)
    if end is None:
        return None
    if fork.sequence > end.sequence:
        if end is me.position and not may_be_behind and not asked:
            return f"it forks at {fork}, beyond this node's {end}"
        return None
    found = end if fork.sequence == end.sequence else position_at(fork.sequence)
    if fork.sequence and found is not None and found != fork:
        return f"it forks at {fork}, where this node has {found}"
    return None
