"""The automatic failover, as this node sees it."""

from __future__ import annotations

from replicad.daemon.metrics.metric import Document, Fields, Samples, gauge

LEADS = gauge("replicad_failover_leads", "1 while this node is the leader, by what etcd said last.")
UNREACHABLE = gauge("replicad_failover_etcd_unreachable", "1 while etcd does not answer this node.")
KNOWN = gauge(
    "replicad_failover_leader_known",
    "1 while etcd names a leader that takes writes, or this node follows one that goes on without etcd.",
)
PAUSED = gauge("replicad_failover_paused", "1 while an operator has failover paused.")
ABSENT = gauge("replicad_failover_members_absent", "How many members etcd has not heard of for ttl_seconds.")
ELIGIBLE = gauge("replicad_failover_candidates", "How many members may lead next.")
EPOCH = gauge("replicad_failover_claimed_epoch", "The greatest epoch that a node has claimed in etcd.")

FIELDS = Fields(
    {
        "failover.may_acknowledge_seconds": gauge(
            "replicad_failover_right_seconds",
            "How long this node may still acknowledge writes if nobody answers it; 0: it may not.",
        ),
    }
)

METRICS = (LEADS, UNREACHABLE, KNOWN, PAUSED, ABSENT, ELIGIBLE, EPOCH, *FIELDS.metrics)


def samples(document: Document) -> Samples:
    """What etcd says has no sample while it does not answer: it may be otherwise by now."""
    failover = document.get("failover")
    if not failover:
        return
    is_unreachable = failover.get("unreachable") is not None
    yield LEADS.of(bool(failover.get("leads")))
    yield UNREACHABLE.of(is_unreachable)
    cluster = failover.get("cluster")
    if cluster is not None and not is_unreachable:
        leader = cluster["leader"]
        is_vouched = failover.get("vouches_for") is not None
        yield KNOWN.of(is_vouched or (leader is not None and leader["begun"]))
        yield PAUSED.of(cluster["paused"])
        yield ABSENT.of(len(cluster["absent"]))
        yield ELIGIBLE.of(sum(row["not_eligible"] is None for row in cluster["next"]))
        yield EPOCH.of(cluster["epoch"])
    yield from FIELDS.samples(document)
