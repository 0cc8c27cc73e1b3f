"""The cluster as one picture, as etcd shows it to a node: who leads, who would be next, who may not lead."""

from __future__ import annotations

from typing import NamedTuple

from replicad.cli.health.finding import Document, part
from replicad.cli.terminal import Line, columns_of
from replicad.units import show_size


class MemberLine(NamedTuple):
    """One member, in the order in which they would lead."""

    member: str
    address: str
    position: str
    lag: str
    priority: str
    may_lead: str


def cluster_lines(failover: Document) -> list[Line]:
    """Of the failover document of one node."""
    cluster = part(failover, "cluster")
    if not cluster:
        reason = failover.get("unreachable") or failover.get("reason") or "etcd has not been asked yet"
        return [[("cluster   ", "dim"), (f"not known: {reason}", "bold yellow")]]
    lines: list[Line] = [[("leader    ", "dim"), (_leader(failover, cluster), "")]]
    lines.append([("writes    ", "dim"), (_rule(cluster), "")])
    if failover.get("unreachable"):
        lines.append([("etcd      ", "dim"), (f"not reached: {failover['unreachable']}", "bold yellow")])
    if reason := failover.get("holds_still"):
        lines.append([("this node ", "dim"), (f"does not stand for election: {reason}", "")])
    if cluster.get("paused"):
        lines.append([("failover  ", "dim"), ("paused: nobody is promoted automatically", "bold yellow")])
    rows = [_member(place, each) for place, each in enumerate(cluster.get("next") or (), 1)]
    rows += [MemberLine(node[:12], "-", "-", "-", "-", "no: it is absent") for node in cluster["absent"]]
    if rows:
        headings, widths = columns_of(MemberLine._fields, rows)
        lines += [[], [("  ".join(map(str.ljust, headings, widths)).rstrip(), "dim")]]
        lines += [[("  ".join(map(str.ljust, row, widths)).rstrip(), "")] for row in rows]
    return lines


def _leader(failover: Document, cluster: Document) -> str:
    leader, vouched = cluster.get("leader"), failover.get("vouches_for")
    if leader is None and vouched:
        return f"nobody, by etcd; {vouched[:12]}, which this node follows, goes on without etcd"
    if leader is None:
        return f"nobody; the last epoch was {cluster.get('epoch')}"
    name = leader["name"] or leader["node_id"][:12]
    begun = "" if leader["begun"] else ", which it is about to begin"
    return f"{name} at {leader['clients']}, in epoch {leader['epoch']}{begun}; lease {leader['lease']}"


def _rule(cluster: Document) -> str:
    rule = cluster.get("rule")
    if rule is None:
        return "wait: no leader has said yet whose acknowledgements they need"
    if not rule["count"]:
        return "wait for no replica: a failover may lose the newest"
    count, needed = len(rule["replicas"]), rule["promises_needed"]
    return f"need {rule['text']}; {count} count, and {needed} of them have to promise before another leads"


def _member(place: int, row: Document) -> MemberLine:
    why_not = row.get("not_eligible")
    next_one = "yes, next" if place == 1 else "yes"
    return MemberLine(
        row["name"] or row["node_id"][:12],
        row["clients"] or "-",
        row["position"] or "-",
        show_size(row["lag_bytes"]),
        str(row["priority"]),
        next_one if why_not is None else f"no: {why_not}",
    )
