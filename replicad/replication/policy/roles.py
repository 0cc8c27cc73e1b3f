"""Who a node is at this moment, what it answers to writes, and every decision about changing that.

                                        promote (record durable)
        ┌──────────── FOLLOWING ──────> PROMOTING ──────────┐
        │              ^  ^   ^             │ refused, full  │
        │   follows on │  │   └─────────────┘                v
        │              │  │  stepped down             ┌── PRIMARY <──────────────┐
        │           FENCED └──────── HANDING_OVER     │    │  ^ nobody knows of   │ rolled back
        │              ^                   ^          │    │  │ a higher epoch    │
        │              │ higher epoch      │ ready    │    v  │                   │
        │              ├───────────────────│────────  │  DOUBTING                 │
        │              │                   │          │    stood still, started   │
        │              └───────────────────│──────────┤                           │
        │                                  └─── PAUSED <── switchover ────────────┘
        └─ (another primary: REPLICAOF)

    standing       a write                       what is written but not answered yet
    -------------  ----------------------------  ------------------------------------
    PRIMARY        is taken                      is answered when it is visible
    PAUSED         waits                         is answered when it is visible
    HANDING_OVER   waits                         there is nothing
    DOUBTING       waits                         waits
    PROMOTING      is refused, as by a replica   there is nothing
    FOLLOWING      is refused, naming the        there is nothing
    FENCED         primary                       is answered with an error: its outcome is unknown

Waiting is bounded: by the switchover's timeout, and by how long a doubting node asks.

Three places remember: the manifest says whether the database takes writes (`store.roles`), and is the
authority; the role record in the node's state says what the node was told to be; the epochs in the log say
what history made of it. All decisions here are pure functions over those; `daemon/` has the effects.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal, NamedTuple

from replicad.replication.policy.epoch_proof import EPOCH_STEP_MAX
from replicad.state.records import RoleRecord
from replicad.types import EpochRecord, Position

Role = Literal["primary", "replica"]


class Standing(Enum):
    """See the drawing; the values are in the status document and on the wire."""

    FOLLOWING = "following"
    PROMOTING = "promoting"
    PRIMARY = "primary"
    DOUBTING = "doubting"
    PAUSED = "paused"
    HANDING_OVER = "handing-over"
    FENCED = "fenced"

    @property
    def role(self) -> Role:
        """What Redis would call it: what clients are told by ROLE."""
        return "primary" if self in _PRIMARIES else "replica"

    @property
    def takes_writes(self) -> bool:
        """False where a write is refused at once; one that is taken may have to wait."""
        return self in _PRIMARIES

    @property
    def holds_writes(self) -> bool:
        return self in _HOLDING

    @property
    def holds_answers(self) -> bool:
        return self is Standing.DOUBTING


_HOLDING = frozenset({Standing.PAUSED, Standing.HANDING_OVER, Standing.DOUBTING})
_PRIMARIES = frozenset({Standing.PRIMARY}) | _HOLDING

MOVES: dict[Standing, frozenset[Standing]] = {
    Standing.FOLLOWING: frozenset({Standing.PROMOTING, Standing.FENCED}),
    Standing.PROMOTING: frozenset({Standing.PRIMARY, Standing.FOLLOWING}),
    Standing.PRIMARY: frozenset({Standing.DOUBTING, Standing.PAUSED, Standing.FENCED}),
    Standing.DOUBTING: frozenset({Standing.PRIMARY, Standing.FENCED}),
    Standing.PAUSED: frozenset({Standing.PRIMARY, Standing.HANDING_OVER, Standing.FENCED, Standing.DOUBTING}),
    Standing.HANDING_OVER: frozenset({Standing.FOLLOWING, Standing.PRIMARY}),
    Standing.FENCED: frozenset({Standing.FOLLOWING, Standing.PROMOTING}),
}
"""Every move that there is; the drawing shows the usual ones. `OwnStanding` asserts it."""


# At the start.


@dataclass(frozen=True, slots=True)
class Stored:
    """What the data directory says: whether its database takes writes, and its last epoch."""

    is_owner: bool
    epoch: int


@dataclass(frozen=True, slots=True)
class Start:
    """What a node begins as; `remembered` says it in words where that is not what the verb says."""

    role: Role
    remembered: str | None = None


def at_start(verb: Role, record: RoleRecord | None, stored: Stored | None) -> Start:
    """The role that a node begins with. The cases, in the order they are tried:

    record      data                          role
    ----------  ----------------------------  ---------------------
    none        any                           the verb's
    any         an owner in a later epoch     primary: it was promoted
    any         a replica's, of a later one   replica: it followed a node that was promoted
    any         other, or none                the record's

    A role is taken (`takes_role`) only after that, by the rules of every change of role.
    """
    if record is None:
        return Start(verb)

    # The record is written after the data, so a crash between the two leaves data of a later epoch than the
    # record's. The data counts.
    if stored is not None and stored.epoch > record.epoch:
        role: Role = "primary" if stored.is_owner else "replica"
    else:
        role = "primary" if record.role == "primary" else "replica"

    if role == verb:
        return Start(role)

    if role == "primary":
        said = "this node was promoted since it was started as a replica"
    elif record.fenced_by is not None:
        said = f"this node was fenced by epoch {record.fenced_by}"
    else:
        said = "this node became a replica since it was started as a primary"
    return Start(role, f"{said}: it starts as a {role} (--take-role makes it a {verb})")


def takes_role(record: RoleRecord | None, *, flag: bool, key: bool) -> bool:
    """Whether a start is to make the node what the verb says. A flag says it of this start. A key in the
    configuration says it once: it is still there at every later start, when other changes of role may have
    come since."""
    return flag or (key and (record is None or not record.took_role))


# Promotion.

HEARD_MS_MAX = 3000
"""A node that heard of its primary this long ago or less says that it lives. Nodes hear of it each second."""


class HighWatermark(NamedTuple):
    """How far a primary said that it is durable, in which epoch. Of two the greater counts: a node that
    follows a higher epoch has given up what the lower ones have beyond it."""

    epoch: int
    sequence: int


class NodeAhead(NamedTuple):
    """A node that has what this one lacks."""

    where: str
    position: Position


class SurveyResult(NamedTuple):
    """What the nodes say that a replica asks before it is promoted."""

    primary_answers: bool = False
    """The one above, or any other that the promotion would depose."""
    heard_by: str | None = None
    """Where a node is that hears that primary, whether it answers this one or not."""
    given_to: str | None = None
    """To whom, not this node, a primary gave its role in an epoch that is not known to have begun."""
    given_epoch: int = 0
    """The greatest epoch that was given so."""
    ahead: NodeAhead | None = None
    """Who is furthest of those that are further than this node."""
    silent: tuple[str, ...] = ()
    """Where replicas are that do not answer: they may have what the primary acknowledged."""
    epoch: int = 0
    """The highest of all."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a replica knows when it is to be promoted."""

    position: Position | None
    """None without data."""
    high_watermark: HighWatermark | None
    """The greatest of what the primaries that it followed told it."""
    survey: SurveyResult
    installing: bool = False


def own_refusal(
    standing: Standing, *, fenced_by: int | None, given_to: str | None, force: bool
) -> str | None:
    """Why this node refuses to be promoted before it asks another one: by what it knows about itself.

    this node                                      without force    with force
    ---------------------------------------------  ---------------  ----------
    takes writes already                           refused          refused
    was fenced by the epoch `fenced_by`            refused          may go on
    gave its role to another node (`given_to`)     refused          may go on
    """
    if standing.role == "primary":
        return "this node takes writes already"
    if force:
        return None
    if standing is Standing.FENCED and fenced_by is not None:
        return f"it was fenced by epoch {fenced_by}, whose writes it lacks; --force gives them up"
    if given_to is not None:
        return f"its role was given to {given_to}, which may have taken writes; --force gives them up"
    return None


def may_promote(candidate: Candidate, *, force: bool) -> tuple[str | None, str | None]:
    """(why not, what is lost). The cases, in the order they are tried:

    candidate                          without force                      with force
    ---------------------------------  ---------------------------------  ------------------------------
    has no data, or is swapping it     refused                            refused
    lacks acknowledged writes          refused, with how many             promoted; says what is lost
    has a primary that answers         refused: switch over instead       promoted; that one is fenced
    hears of a role that was given     refused: wait for that node        promoted, above that epoch
    has a primary that another hears   refused: it is not dead            promoted; that one is fenced
    hears of a node that is further    refused, naming that node          promoted; says what is lost
    knows a replica that is silent     refused, naming that node          promoted
    anything else                      promoted                           promoted
    """
    if candidate.position is None or candidate.installing:
        return "this node has no data of its own to serve", None

    survey, lost = (
        candidate.survey,
        _lost(candidate.position, candidate.high_watermark, candidate.survey.ahead),
    )

    if force:
        return None, lost

    # When a node that has more is known, its reason below is more useful: it names where to promote instead.
    if lost is not None and survey.ahead is None:
        return f"this would lose {lost}; --force accepts that", None
    if survey.primary_answers:
        return "its primary answers: replicad switchover loses nothing; --force fences that primary", None
    if survey.given_to is not None:
        reason = f"the role was given to {survey.given_to}, which may have taken writes"
        return f"{reason}; --force gives them up", None
    if survey.heard_by is not None:
        reason = f"the node at {survey.heard_by} hears the primary, which this one cannot reach"
        return f"{reason}: replicad switchover there loses nothing; --force fences that primary", None
    if survey.ahead is not None:
        reason = f"the node at {survey.ahead.where} is further, at {survey.ahead.position}"
        return f"{reason}: promote that one; here this would lose {lost}; --force accepts that", None
    if survey.silent:
        nodes = "node" if len(survey.silent) == 1 else "nodes"
        reason = f"the {nodes} at {', '.join(survey.silent)} cannot be asked"
        return f"{reason}, and may have acknowledged writes that this one lacks; --force accepts that", None
    return None, None


def _lost(here: Position, high_watermark: HighWatermark | None, ahead: NodeAhead | None) -> str | None:
    """What a promotion gives up, as far as that is known."""
    if ahead is not None and ahead.position.epoch > here.epoch:
        return f"what was written in epoch {ahead.position.epoch}, which this node lacks"
    known = (
        here.sequence
        if high_watermark is None or high_watermark.epoch < here.epoch
        else max(here.sequence, high_watermark.sequence)
    )
    who = "the primary acknowledged"
    if ahead is not None and ahead.position.sequence > known:
        known, who = ahead.position.sequence, f"the node at {ahead.where} has"
    if known <= here.sequence:
        return None
    return f"sequence numbers {here.sequence + 1} to {known}, which {who} and this node lacks"


def is_further(me: View, other: View) -> bool:
    """Whether `other` has what `me` lacks, of the same database: a higher epoch, or more of the same."""
    if not _is_same(me, other) or me.position is None or other.position is None:
        return False
    here, there = me.position, other.position
    return (there.epoch, there.sequence) > (here.epoch, here.sequence)


# What nodes tell each other of themselves, and what follows from it.


@dataclass(frozen=True, slots=True)
class View:
    """A node, as it tells others; `epochs` are those of its log."""

    node: bytes
    standing: Standing
    database_id: bytes | None
    position: Position | None
    epochs: tuple[EpochRecord, ...]
    granted: int | None = None
    """The epoch that it gave to another node, and does not know to have begun."""

    @property
    def epoch(self) -> int:
        return 0 if self.position is None else int(self.position.epoch)


class Verdict(Enum):
    """What a node does about another that it heard of."""

    NOTHING = "nothing"
    FENCE = "fence"
    FOLLOW = "follow"
    CLASH = "clash"


def judge(me: View, other: View, *, fenced_by: int | None, linked: bool, unproven: bool = False) -> Verdict:
    """What `me` does. `linked`: it follows a primary that it hears. `unproven`: a higher epoch of the other's
    does not count (`epoch_proof`). The cases, in the order they are tried:

    me                          other                                       verdict
    --------------------------  ------------------------------------------  -------
    any                         another database, or none                   NOTHING
    any                         in a higher epoch that is not proven        NOTHING
    primary                     in a higher epoch                           FENCE
    primary                     a primary in the same epoch                 CLASH
    fenced                      a primary, its epoch not below the fence    FOLLOW
    replica without a link      a primary in a higher epoch                 FOLLOW
    any                         anything else                               NOTHING
    """
    if not _is_same(me, other) or (unproven and other.epoch > me.epoch):
        return Verdict.NOTHING
    is_primary = other.standing.role == "primary"
    if me.standing.role == "primary":
        if other.epoch > me.epoch:
            return Verdict.FENCE
        return Verdict.CLASH if is_primary and other.epoch == me.epoch else Verdict.NOTHING
    if me.standing is Standing.FENCED:
        least = me.epoch if fenced_by is None else fenced_by
        return Verdict.FOLLOW if is_primary and other.epoch >= least else Verdict.NOTHING
    if is_primary and not linked and other.epoch > me.epoch:
        return Verdict.FOLLOW
    return Verdict.NOTHING


def would_be_deposed(me: View, other: View) -> bool:
    """Whether a promotion of `me` would take the role from `other`: a primary of this database that is not
    behind the epoch of `me`."""
    return _is_same(me, other) and other.standing.role == "primary" and other.epoch >= me.epoch


def hears_its_primary(me: View, other: View, path: tuple[bytes, ...], heard_ms: int | None) -> bool:
    """Whether `other`, which follows along `path`, has just heard a primary that a promotion of `me` would
    depose. Of nodes that follow each other only the first hears it; the others hear that one."""
    is_news = heard_ms is not None and heard_ms <= HEARD_MS_MAX
    return (
        is_news and _is_same(me, other) and other.epoch >= me.epoch and len(path) == 1 and path[0] != me.node
    )


def has_given(me: View, other: View) -> bool:
    """Whether `other` gave away the role in an epoch that `me` has not seen begin, and may be the next."""
    if not _is_same(me, other) or other.granted is None:
        return False
    return me.epoch < other.granted < max(me.epoch, other.epoch) + EPOCH_STEP_MAX


def _is_same(me: View, other: View) -> bool:
    return other.database_id is not None and other.database_id == me.database_id


def closes_loop(me: bytes, upstream: bytes, path: tuple[bytes, ...]) -> str | None:
    """The path that would close a loop if `me` followed `upstream`, which itself follows along `path`."""
    if me not in path:
        return None
    nodes = (me, upstream, *path[: path.index(me) + 1])
    return " -> ".join(node.hex()[:8] for node in nodes)
