"""What a node does after each look at etcd: one pure function over what etcd says and what it is itself.

nobody leads ──claim──> leader, not begun ──promises, rest of the log, epoch──> leader ──lease ends──> nobody
                               └── not enough promises: given up ─────────────────────────> nobody
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from replicad.replication.policy.failover.cluster import Cluster
from replicad.replication.policy.failover.election import order, too_few, why_not_eligible


class Turn(Enum):
    LEAD = "lead"
    """It leads, and sees to the rule and the members."""
    RECLAIM = "reclaim"
    """It takes the leadership again, in the epoch that it owns."""
    STEP_DOWN = "step-down"
    """Another node leads, or began a later epoch."""
    FOLLOW = "follow"
    CLAIM = "claim"
    GIVE_UP = "give-up"
    """It holds a claim of a former life, or one that came to nothing."""
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Me:
    """This node. `epoch` is that of its data, `promised` the one that it promised last, `lease` 0 without
    one. `absent_seconds`: for how long it has seen that nobody leads. `holds_still`: why it may not claim now
    although it could."""

    node: str
    is_primary: bool
    epoch: int
    promised: int
    lease: int
    absent_seconds: float = 0.0
    holds_still: str | None = None
    is_busy: bool = False
    """It claims, or hands over, at the moment."""


@dataclass(frozen=True, slots=True)
class Pace:
    """`step_seconds` is between the claims of two nodes that follow each other in the order;
    `patience_seconds` is how long all others leave the leadership to the one that an order names."""

    step_seconds: float
    patience_seconds: float
    lag_bytes_max: int


@dataclass(frozen=True, slots=True)
class NextTurn:
    turn: Turn
    reason: str = ""


def decide(me: Me, cluster: Cluster, pace: Pace) -> NextTurn:
    """The cases, in the order they are tried:

    this node        etcd                                              turn
    ---------------  ------------------------------------------------  ---------
    busy             any, but for what follows                         WAIT
    a primary        another leads, in a higher epoch                  STEP_DOWN
    a primary        another leads, in an epoch that is not higher     WAIT
    a primary        a higher epoch than its own was claimed, or       STEP_DOWN
                     promised by itself
    a primary        a member promised a higher one: it would not      STEP_DOWN
                     follow; once the rule and the members are stated
    a primary        it leads, with the lease that it has              LEAD
    a primary        it leads with another lease, or nobody does       RECLAIM
    a replica        another leads and has begun                       FOLLOW
    a replica        another leads and has not                         WAIT
    a replica        it leads                                          GIVE_UP
    a replica        nobody leads                                      CLAIM, or WAIT: `_claim`

    A primary that is busy steps down like any other: it must not go on with what it is busy with.
    """
    leader = cluster.leader
    if me.is_primary:
        if leader is not None and leader.node != me.node:
            if leader.epoch > me.epoch:
                return NextTurn(Turn.STEP_DOWN, f"{leader.node[:8]} leads in epoch {leader.epoch}")
            return NextTurn(
                Turn.WAIT,
                f"{leader.node[:8]} leads in epoch {leader.epoch}, and this node is a primary in {me.epoch}",
            )
        if (newest := max(cluster.epoch, me.promised)) > me.epoch:
            return NextTurn(Turn.STEP_DOWN, f"epoch {newest} was claimed after {me.epoch}")
        if _is_stated(me, cluster) and (newest := cluster.newest_epoch) > me.epoch:
            return NextTurn(
                Turn.STEP_DOWN, f"a member has promised epoch {newest}, and follows none below it"
            )
        if me.is_busy:
            return NextTurn(Turn.WAIT, "it is about to lead, or hands over")
        if leader is None or leader.lease != me.lease:
            return NextTurn(Turn.RECLAIM)
        return NextTurn(Turn.LEAD)

    if me.is_busy:
        return NextTurn(Turn.WAIT, "it stands for election")
    if leader is None:
        return _claim(me, cluster, pace)
    if leader.node == me.node:
        return NextTurn(Turn.GIVE_UP)
    if not leader.begun:
        return NextTurn(Turn.WAIT, f"{leader.node[:8]} is about to begin epoch {leader.epoch}")
    return NextTurn(Turn.FOLLOW)


def _is_stated(me: Me, cluster: Cluster) -> bool:
    """Whether anybody could lead after this leader: an etcd that lost its data has to hear of it first."""
    return cluster.rule is not None and cluster.rule.leader == me.node and cluster.failsafe is not None


def _claim(me: Me, cluster: Cluster, pace: Pace) -> NextTurn:
    """Whether a replica stands for election when nobody leads. The cases, in the order they are tried:

    failover is paused, but not for an order to switch over     WAIT
    this node is not eligible (`election`)                      WAIT
    it holds still                                              WAIT
    too few nodes are there that could promise                  WAIT
    an order names another node, and is young                   WAIT
    nodes before it in the order have not had their time        WAIT
    anything else                                               CLAIM
    """
    wanted = None if cluster.switchover is None else cluster.switchover.to
    if cluster.paused and wanted != me.node:
        return NextTurn(Turn.WAIT, "failover is paused")
    mine = cluster.members.get(me.node)
    if mine is None:
        return NextTurn(Turn.WAIT, "it is not among the members yet")
    if (reason := why_not_eligible(mine, cluster, pace.lag_bytes_max)) is not None:
        return NextTurn(Turn.WAIT, reason)
    if me.holds_still is not None:
        return NextTurn(Turn.WAIT, me.holds_still)
    if (reason := too_few(cluster)) is not None:
        return NextTurn(Turn.WAIT, reason)
    if wanted not in (None, me.node) and me.absent_seconds < pace.patience_seconds:
        return NextTurn(Turn.WAIT, f"{str(wanted)[:8]} is to lead")
    (rank,) = (each.rank for each in order(cluster, pace.lag_bytes_max) if each.member.node == me.node)
    if me.absent_seconds < rank * pace.step_seconds:
        return NextTurn(Turn.WAIT, f"{rank} nodes come before it")
    return NextTurn(Turn.CLAIM)
