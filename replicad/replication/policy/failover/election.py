"""Who may lead next, in which order, and why a node may not.

The order only saves time: a node that claims the leadership streams what it lacks from the one that has
most. So the first in the order claims at once, and each other one a little later than the one before it.
"""

from __future__ import annotations

from dataclasses import dataclass

from replicad.replication.policy.failover.cluster import Cluster, Member
from replicad.replication.policy.failover.quorum import promises_needed


@dataclass(frozen=True, slots=True)
class Ranked:
    """A node that may lead next; `rank` is 0 for the first. Of one that may not, `why_not` says why."""

    member: Member
    rank: int
    why_not: str | None = None


def why_not_eligible(member: Member, cluster: Cluster, lag_bytes_max: int) -> str | None:
    """The cases, in the order they are tried:

    the node                                               eligible
    -----------------------------------------------------  --------
    has `candidate = false`, or no data                    no
    applies late, or is paused                             no
    is not in `failsafe`: a leader without etcd would      no
    not ask it; or no rule was ever stated
    waits for nobody's acknowledgement, and lacked more    no
    than `lag_bytes_max` when the leader said so last
    is not among the replicas that count, nor was the      no
    leader
    anything else                                          yes
    """
    if not member.candidate:
        return "it has candidate = false"
    if member.epoch is None:
        return "it has no data yet"
    if member.delayed:
        return "it applies late, or is paused"
    rule = cluster.rule
    if (reason := why_not_known(member.node, cluster)) is not None or rule is None:
        return reason
    if rule.count == 0:
        lag = lag_of(member, cluster)
        return None if lag <= lag_bytes_max else f"it lacks about {lag} bytes, more than lag_bytes_max"
    if member.node != rule.leader and member.node not in rule.replicas:
        return "no leader has waited for its acknowledgements yet"
    return None


def why_not_known(node: str, cluster: Cluster) -> str | None:
    """Why a leader may go on, and acknowledge, while this node becomes one. Before a leader has written both
    keys a primary may take writes that knows nothing of etcd; and an etcd that lost its data says nothing of
    a leader that has the right to acknowledge."""
    if cluster.failsafe is None or node not in cluster.failsafe:
        return "no leader has counted it as a member yet"
    if cluster.rule is None:
        return "no leader has stated yet whom it waits for"
    return None


def lag_of(member: Member, cluster: Cluster) -> int:
    """How many bytes of log it lacked when the leader said so last; 0 where it has reached that since."""
    status = cluster.status
    if status is None or member.how_far >= (status.epoch, status.sequence):
        return 0
    return status.lag_bytes.get(member.node, 0)


def order(cluster: Cluster, lag_bytes_max: int) -> list[Ranked]:
    """All members, those that may lead first: by priority, then by how far they are. The leader is left
    out."""
    leader = None if cluster.leader is None else cluster.leader.node
    members = [member for member in cluster.members.values() if member.node != leader]
    reasons = {member.node: why_not_eligible(member, cluster, lag_bytes_max) for member in members}
    wanted = None if cluster.switchover is None else cluster.switchover.to

    def key(member: Member) -> tuple[bool, bool, int, int, int, str]:
        epoch, sequence = member.how_far
        not_eligible = reasons[member.node] is not None
        return not_eligible, member.node != wanted, -member.priority, -epoch, -sequence, member.node

    return [
        Ranked(member, rank, reasons[member.node]) for rank, member in enumerate(sorted(members, key=key))
    ]


def too_few(cluster: Cluster) -> str | None:
    """Why nobody can have enough promises now, or None: a claim would be for nothing."""
    rule = cluster.rule
    if rule is None or rule.count == 0 or (rule.leader_has_all and rule.leader in cluster.members):
        return None
    alive, needed = len(rule.replicas & cluster.members.keys()), promises_needed(rule)
    if alive >= needed:
        return None
    return f"{needed} of the {len(rule.replicas)} replicas that count are needed, and {alive} are there"
