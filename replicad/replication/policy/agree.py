"""Whether a replica may follow a primary, and from where: one pure function over two histories.

The primary evaluates it, with what its log says about the replica's sequence number; the replica checks the
answer with `may_bootstrap` before it lets anything replace its data. The cases, in the order they are tried:

    replica                                                     outcome
    ----------------------------------------------------------  ---------
    has no data                                                 BOOTSTRAP
    has another database                                        STOP
    claims a higher epoch, and does not prove it                STOP
    has a higher epoch                                          FENCED
    has an epoch of the same number with another id             STOP
    lower epoch, and the primary does not know where it ended   STOP
    lower epoch, beyond the fork                                REWIND
    same epoch, ahead                                           STOP
    same sequence number as the primary or fork, other hash     STOP
    inside a batch of the primary's, or other hash there        STOP
    same history, the log from there on is gone                 BOOTSTRAP
    same history                                                STREAM

When the log still holds what follows the replica's position but not the position itself (its batch was
the last of a segment that went away), the outcome is STREAM: the first frame carries the hash of what it
follows, and the replica refuses a frame that does not continue its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from replicad.types import EpochRecord, Position


class Outcome(Enum):
    """What the two nodes do next; the values are on the wire."""

    STREAM = "stream"
    BOOTSTRAP = "bootstrap"
    REWIND = "rewind"
    FENCED = "fenced"
    STOP = "stop"


class Code(Enum):
    """Why, for programs; the values are on the wire."""

    SAME_HISTORY = "same-history"
    EMPTY_REPLICA = "empty-replica"
    LOG_GONE = "log-gone"
    BEYOND_FORK = "beyond-fork"
    HIGHER_EPOCH = "higher-epoch"
    WRONG_DATABASE = "wrong-database"
    OTHER_EPOCH_ID = "other-epoch-id"
    UNKNOWN_FORK = "unknown-fork"
    REPLICA_AHEAD = "replica-ahead"
    DIVERGED = "diverged"


_OTHER_HISTORY = frozenset({Code.DIVERGED, Code.OTHER_EPOCH_ID, Code.UNKNOWN_FORK})


def has_diverged(code: str | None, *, follows_primary: bool) -> bool:
    """Whether a link that stopped for this reason shows that the other node has another history.

    Where this node is ahead, the other one is behind. A primary is never behind in its own epoch, unless it
    lost what it wrote: it has diverged. A replica may be behind for a while: it has not."""
    if code == Code.REPLICA_AHEAD.value:
        return follows_primary
    return code in {other.value for other in _OTHER_HISTORY}


@dataclass(frozen=True, slots=True)
class History:
    """What a node has: which database, up to where, and through which epochs."""

    database_id: bytes
    position: Position
    epochs: tuple[EpochRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome with its reason in words; `start` is set for STREAM, `fork` for REWIND."""

    outcome: Outcome
    code: Code
    reason: str
    start: int | None = None
    fork: Position | None = None


def agree(
    primary: History,
    replica: History | None,
    *,
    found: Position | None,
    oldest: int,
    unproven: str | None = None,
) -> Decision:
    """Decides. `found` is the primary's position at the end of the batch that holds the replica's sequence
    number (None when the log no longer says), `oldest` the first sequence number that its log holds;
    `unproven` is why a higher epoch of the replica's does not count (`epoch_proof`)."""
    if replica is None:
        return Decision(Outcome.BOOTSTRAP, Code.EMPTY_REPLICA, "the replica has no data yet")

    # Positions of two databases cannot be compared, so this comes before everything that compares them.
    if replica.database_id != primary.database_id:
        return _stop(
            Code.WRONG_DATABASE,
            f"the replica holds database {replica.database_id.hex()}, "
            f"the primary has database {primary.database_id.hex()}",
        )

    # A higher epoch takes the writes from this primary for good: a claim that is not proven must not do that.
    there, here = replica.position, primary.position
    if there.epoch > here.epoch and unproven is not None:
        return _stop(
            Code.HIGHER_EPOCH, f"that the replica is in epoch {there.epoch} does not count: {unproven}"
        )
    if there.epoch > here.epoch:
        return Decision(
            Outcome.FENCED,
            Code.HIGHER_EPOCH,
            f"the replica is in epoch {there.epoch}, the primary in {here.epoch}: another node was promoted",
        )

    # Nodes that did not hear of each other may take the same number in two promotions; the ids tell them
    # apart.
    if clash := _clash(primary, replica):
        return _stop(Code.OTHER_EPOCH_ID, f"epoch {clash} has one id at the primary, another at the replica")

    # `end` is how far the replica may be and still have the primary's history: the primary's own position in
    # the same epoch, the fork in a lower one.
    end = here if there.epoch == here.epoch else _fork(primary, replica)
    if end is None:
        return _stop(Code.UNKNOWN_FORK, f"the primary does not know where epoch {there.epoch} ended")

    # In one epoch only the primary writes, so a replica that is ahead has what the primary lost: a person
    # must say which of the two counts. Beyond a fork the later epoch counts, and the replica saves its tail.
    if there.sequence > end.sequence:
        if end is here:
            return _stop(
                Code.REPLICA_AHEAD,
                f"the replica is at {there}, ahead of the primary at {here}: "
                "the primary lost data or is an older copy",
            )
        return Decision(
            Outcome.REWIND,
            Code.BEYOND_FORK,
            f"the replica is at {there}, beyond the fork at {end}",
            fork=end,
        )

    # From here on the replica is not ahead, and only the hash says whether its history is the same. `found`
    # is the end of a batch, so it also differs for a position inside a batch. None says nothing: the replica
    # checks the hash in the first frame.
    if there.sequence == end.sequence and there.history_hash != end.history_hash:
        return _diverged(there, end)
    if there.sequence < end.sequence and found is not None and found != there:
        return _diverged(there, found)

    # A replica that lacks nothing needs no log, wherever the log begins.
    if there.sequence < here.sequence and oldest > there.sequence + 1:
        return Decision(
            Outcome.BOOTSTRAP,
            Code.LOG_GONE,
            f"the replica is at {there.sequence}, the primary's log begins at {oldest}",
        )

    return Decision(
        Outcome.STREAM,
        Code.SAME_HISTORY,
        f"the log goes on from {there.sequence + 1}",
        start=there.sequence + 1,
    )


def may_bootstrap(replica: History | None, primary: History, code: Code) -> str | None:
    """Why the replica must refuse a bootstrap that the primary proposes, or None when it may go on.

    A replica without data takes any copy. One with data lets it be replaced only by a later position of the
    same database, and only because the log is gone.
    """
    if replica is None:
        return None
    if replica.database_id != primary.database_id:
        return "the copy is of another database"
    if code is not Code.LOG_GONE:
        return f"the replica has data, and {code.value!r} is not a reason to replace it"
    there, here = replica.position, primary.position
    if (here.epoch, here.sequence) <= (there.epoch, there.sequence):
        return f"the copy would be at {here}, the replica is at {there} already"
    return None


def would_discard(replica: History, primary: History) -> str | None:
    """What a replica has that it would have to give up to follow that primary, in words; None: nothing."""
    decision = agree(primary, replica, found=None, oldest=0)
    match decision.code:
        case Code.BEYOND_FORK if decision.fork is not None:
            return f"sequence numbers {decision.fork.sequence + 1} to {replica.position.sequence}"
        case Code.DIVERGED | Code.OTHER_EPOCH_ID | Code.UNKNOWN_FORK:
            return f"all of its own history that is not the other's: {decision.reason}"
    return None


def last_common(one: History, other: History) -> Position | None:
    """The last position that both surely went through: the one at which both are, where they fork, or where
    an epoch began that both know under one id; None when the lists do not say."""
    decision = agree(other, one, found=None, oldest=0)
    if decision.code is Code.BEYOND_FORK:
        return decision.fork

    # The hash stands for all that is before it. Of two positions of one epoch that are not the same, the
    # earlier one may be of a tail that the other node lost, and wrote over.
    if decision.code is Code.SAME_HISTORY and one.position == other.position:
        return one.position

    ids = {record.epoch: record.id for record in other.epochs}
    common = [record for record in one.epochs if ids.get(record.epoch) == record.id]
    return max(common, key=lambda record: record.epoch).fork if common else None


def may_start_over(replica: History, primary: History) -> str | None:
    """Why a replica whose tail another history replaced, and is saved, must refuse the copy; or None."""
    if replica.database_id != primary.database_id:
        return "the copy is of another database"
    if primary.position.epoch <= replica.position.epoch:
        return f"the copy is of epoch {primary.position.epoch}, not of one after {replica.position.epoch}"
    return None


def _stop(code: Code, reason: str) -> Decision:
    return Decision(Outcome.STOP, code, reason)


def _diverged(there: Position, here: Position) -> Decision:
    return _stop(Code.DIVERGED, f"the replica is at {there}, where the primary's history has {here}")


def _clash(primary: History, replica: History) -> int | None:
    """The first epoch that both know under different ids."""
    ids = {record.epoch: record.id for record in primary.epochs}
    for record in sorted(replica.epochs, key=lambda record: record.epoch):
        if ids.get(record.epoch, record.id) != record.id:
            return record.epoch
    return None


def _fork(primary: History, replica: History) -> Position | None:
    """Where the histories left each other, or None when the lists do not say: the earlier of the two ends of
    the last epoch that both went through."""
    known = {record.epoch for record in replica.epochs} | {replica.position.epoch}
    common = {record.epoch for record in primary.epochs} & known
    last = max(common, default=min(known))

    # Each list says where its own history left that epoch. They were together up to the earlier of the two
    # ends.
    ends = [end for history in (primary, replica) if (end := end_of(history, last)) is not None]
    return min(ends, key=lambda end: end.sequence) if end_of(primary, last) is not None else None


def end_of(history: History, epoch: int) -> Position | None:
    """Where a history left `epoch`, or None when its list does not say."""
    later = [record for record in history.epochs if record.epoch > epoch]
    if not later:
        return None
    first = min(later, key=lambda record: record.epoch)
    return first.fork if first.fork.epoch == epoch else None
