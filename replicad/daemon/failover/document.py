"""What a node says of the failover in its status: the cluster as one picture, ready for JSON."""

from __future__ import annotations

from typing import Any

from replicad.daemon.failover.agent import FailoverAgent
from replicad.replication.policy.failover.cluster import Cluster
from replicad.replication.policy.failover.election import lag_of, order, too_few
from replicad.replication.policy.failover.quorum import promises_needed

Document = dict[str, Any]


def failover_document(failover: FailoverAgent) -> Document:
    options, right, cluster = failover.options, failover.leadership.right, failover.cluster
    vouches_for = failover.promises.vouches_for
    return {
        "service_name": options.service_name,
        "ttl_seconds": options.ttl_seconds,
        "etcd": list(options.etcd),
        "unreachable": failover.unreachable,
        "turn": failover.decision.turn.value,
        "reason": failover.decision.reason or None,
        "holds_still": failover.promises.holds_still,
        "vouches_for": None if vouches_for is None else vouches_for.hex(),
        "leads": right.leads,
        "may_acknowledge_seconds": round(failover.leadership.seconds_left, 3),
        "failsafe_lacks": failover.failsafe.missing if right.leads and failover.unreachable else None,
        "cluster": None if cluster is None else cluster_document(cluster, options.lag_bytes_max),
    }


def cluster_document(cluster: Cluster, lag_bytes_max: int) -> Document:
    """Who leads, by which lease; who would be next, and why; who may not lead, and why."""
    leader, rule = cluster.leader, cluster.rule
    return {
        "paused": cluster.paused,
        "epoch": cluster.epoch,
        "leader": None
        if leader is None
        else {
            "node_id": leader.node,
            "name": _name(leader.node, cluster),
            "clients": leader.clients,
            "replication": leader.replication,
            "epoch": leader.epoch,
            "begun": leader.begun,
            "lease": f"{leader.lease:x}",
        },
        "rule": None
        if rule is None
        else {
            "text": rule.text or "off",
            "count": rule.count,
            "replicas": sorted(rule.replicas),
            "promises_needed": promises_needed(rule) if rule.count else 0,
            "epoch": rule.epoch,
        },
        "too_few": too_few(cluster),
        "switchover_to": None if cluster.switchover is None else cluster.switchover.to,
        "next": [
            {
                "node_id": each.member.node,
                "name": each.member.name,
                "clients": each.member.clients,
                "priority": each.member.priority,
                "position": None
                if each.member.epoch is None
                else f"{each.member.epoch}:{each.member.sequence}",
                "lag_bytes": lag_of(each.member, cluster),
                "not_eligible": each.why_not,
            }
            for each in order(cluster, lag_bytes_max)
        ],
        "absent": sorted((cluster.failsafe or frozenset()) - cluster.members.keys()),
    }


def _name(node: str, cluster: Cluster) -> str:
    member = cluster.members.get(node)
    return "" if member is None else member.name
