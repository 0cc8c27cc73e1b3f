"""Whether the automatic failover of a node would work now."""

from __future__ import annotations

from collections.abc import Iterator

from replicad.cli.health.finding import Document, Finding, Severity, part
from replicad.cli.health.runbook import Runbook


def failover_findings(node: str, document: Document) -> Iterator[Finding]:
    failover = document.get("failover")
    if not failover:
        return
    if reason := failover.get("unreachable"):
        yield _unreachable(document, failover, str(reason))
        return
    if document.get("standing") == "doubting":
        yield _doubts(node, failover)
    cluster = part(failover, "cluster")
    leader = cluster.get("leader")
    if cluster and leader is None and (vouched := failover.get("vouches_for")):
        yield Finding(
            Severity.WARNING,
            f"etcd names no leader; {vouched[:12]}, which this node follows, goes on without etcd",
            f"does {vouched[:12]} reach etcd? etcdctl endpoint status there",
            Runbook.ETCD,
        )
        return
    if cluster and leader is None:
        remedy = "resume" if cluster.get("paused") else "status"
        yield Finding(
            Severity.CRITICAL,
            f"nobody leads: {failover.get('reason') or 'an election is under way'}",
            f"replicad failover {remedy} {node}",
            Runbook.FAILOVER,
        )
        return
    # The rest is the same at every node: the leader says it.
    if leader is None or leader.get("node_id") != document.get("node_id"):
        return
    if cluster.get("paused"):
        yield Finding(
            Severity.WARNING,
            "failover is paused: if this node were gone, nobody would be promoted",
            f"replicad failover resume {node}",
            Runbook.FAILOVER,
        )
    elif reason := _nobody_next(cluster):
        yield Finding(
            Severity.WARNING,
            f"if this node were gone, nobody could be promoted: {reason}",
            f"replicad failover status {node}",
            Runbook.FAILOVER,
        )
    for absent in cluster.get("absent") or ():
        yield Finding(
            Severity.WARNING,
            f"member {absent[:12]} is absent; without etcd this node would have to stop writes",
            f"start it, or, if it is gone for good: replicad failover remove {node} {absent[:12]}",
            Runbook.FAILOVER,
        )


def _unreachable(document: Document, failover: Document, reason: str) -> Finding:
    lacks = failover.get("failsafe_lacks")
    if document.get("role") != "primary":
        severity, what = Severity.WARNING, "does not reach etcd, and cannot be promoted"
    elif lacks or document.get("standing") == "doubting":
        severity = Severity.CRITICAL
        what = f"does not reach etcd, and takes no writes: {lacks or 'etcd has to say first that it leads'}"
    else:
        severity, what = Severity.WARNING, "does not reach etcd; it goes on while all members follow it"
    return Finding(severity, f"{what} ({reason})", "is etcd well? etcdctl endpoint status", Runbook.ETCD)


def _doubts(node: str, failover: Document) -> Finding:
    """Of a primary that reaches etcd, and may acknowledge nothing yet."""
    why = failover.get("reason") or "etcd does not say yet that it leads"
    if failover.get("leads"):
        why = "it leads, and not enough replicas hold yet all that it has (synchronous)"
    what = f"its writes wait: {why}"
    return Finding(Severity.CRITICAL, what, f"replicad failover status {node}", Runbook.FAILOVER)


def _nobody_next(cluster: Document) -> str | None:
    rows = cluster.get("next") or []
    if not rows:
        return "there is no other member"
    if all(row.get("not_eligible") for row in rows):
        return "; ".join(f"{row['name'] or row['node_id'][:12]}: {row['not_eligible']}" for row in rows)
    # The leader itself promises nothing then, so `too_few`, which counts it, does not tell.
    rule = part(cluster, "rule")
    needed = rule.get("promises_needed") or 0
    there = {row["node_id"] for row in rows} & set(rule.get("replicas") or ())
    return None if len(there) >= needed else f"{needed} nodes have to promise, and {len(there)} could"
