"""The replicas and change feeds of a node, as it sees them: who is there, how far, how long log is kept."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from replicad.cli.health.finding import Document, Finding, Severity, Thresholds, called
from replicad.cli.health.runbook import Runbook
from replicad.units import show_count, show_seconds, show_size

AWAY_SECONDS_MAX = 300
EXHAUSTED_SECONDS_MIN = 3600


def connected(document: Document) -> list[Document]:
    return [row for row in document.get("replicas") or () if row.get("state") != "away"]


def replicas_findings(
    node: str, document: Document, thresholds: Thresholds, *, asked: Collection[str]
) -> Iterator[Finding]:
    """`asked` has the ids of the nodes that speak for themselves: their age is not reported twice."""
    if "replicas" in document and document.get("role") == "primary":
        yield from _count_findings(document, thresholds)
    elsewhere = _elsewhere(document)
    for row in document.get("replicas") or ():
        if row.get("state") != "away" or row.get("node_id") not in elsewhere:
            yield from _slot_findings(node, row)
            yield from _lag_findings(node, row, thresholds, speaks=row.get("node_id") in asked)
        if differences := row.get("verified_differences"):
            yield Finding(
                Severity.CRITICAL,
                f"{called(row)} differs from it in {show_count(differences, 'key')}",
                f"replicad verify {node} {_where(document, row)} --repair",
                Runbook.DIFFERENT_DATA,
            )
    for row in document.get("feeds") or ():
        yield from _feed_findings(node, row)


def _elsewhere(document: Document) -> set[str | None]:
    """Nodes that a replica knows to run: those that it fed as the primary follow another one now."""
    if document.get("role") == "primary":
        return set()
    return {peer.get("node_id") for peer in document.get("peers") or () if peer.get("away_seconds") == 0}


def _feed_findings(node: str, row: Document) -> Iterator[Finding]:
    """A feed that nobody reads is not wrong, until its log is gone or about to go."""
    feed, slot, reason = f"feed {called(row)}", row.get("slot"), row.get("slot_reason")
    why = f" ({reason})" if reason else ""
    drop = f"replicad slot drop {node} {called(row)}"
    if slot == "lost":
        what = f"its log for {feed} is gone{why}: the reader has to copy the data again"
        yield Finding(Severity.WARNING, what, f"{drop}, make it again, and copy the data", Runbook.SLOT)
    elif slot == "unreserved":
        what = f"does not keep log for {feed} any more{why}"
        yield Finding(Severity.WARNING, what, f"start its reader now, or {drop}", Runbook.SLOT)
    elif _ends_soon(row):
        what = f"can keep log for {feed} for another {show_seconds(row['slot_exhausted_in_seconds'])}"
        yield Finding(Severity.WARNING, what, f"start its reader, or {drop}", Runbook.SLOT)


def _count_findings(document: Document, thresholds: Thresholds) -> Iterator[Finding]:
    there, rule = len(connected(document)), document.get("synchronous")
    start = f"start one: replicad replica --primary {document.get('replication') or 'HOST:PORT'}"
    if rule and not there:
        what = f"no replica is connected, and writes wait for {rule}"
        yield Finding(Severity.CRITICAL, what, start, Runbook.MISSING_REPLICA)
    elif there < thresholds.replicas:
        what = "no replica is connected" if not there else f"only {show_count(there, 'replica')} connected"
        what += ": its data is on too few machines"
        yield Finding(Severity.WARNING, what, start, Runbook.MISSING_REPLICA)


def _slot_findings(node: str, row: Document) -> Iterator[Finding]:
    replica, slot, reason = called(row), row.get("slot"), row.get("slot_reason")
    why = f" ({reason})" if reason else ""
    if slot == "lost":
        yield Finding(
            Severity.WARNING,
            f"its log for {replica} is gone{why}: that replica fetches all data again",
            f"start {replica}, or replicad slot drop {node} {replica}",
            Runbook.SLOT,
        )
    elif slot == "unreserved":
        yield Finding(
            Severity.WARNING,
            f"does not keep log for {replica} any more{why}",
            f"start {replica} now, or replicad slot drop {node} {replica}",
            Runbook.SLOT,
        )
    elif _ends_soon(row):
        yield Finding(
            Severity.WARNING,
            f"can keep log for {replica} for another {show_seconds(row['slot_exhausted_in_seconds'])}",
            f"start {replica}, or raise its limit: replicad slot list {node}",
            Runbook.SLOT,
        )


def _ends_soon(row: Document) -> bool:
    """A replica that keeps up under a heavy load needs little of what could be kept: it is in no danger."""
    left, retained = row.get("slot_exhausted_in_seconds"), row.get("slot_retained_bytes") or 0
    if left is None or left >= EXHAUSTED_SECONDS_MIN or not retained:
        return False
    keeps_up = row.get("state") in ("streaming", "reading")
    return not keeps_up or retained > (row.get("slot_safe_bytes") or 0)


def _where(document: Document, row: Document) -> str:
    """Where clients find the replica, as far as that is known here."""
    peers = {peer.get("node_id"): peer.get("clients") for peer in document.get("peers") or ()}
    return peers.get(row.get("node_id")) or called(row)


def _lag_findings(node: str, row: Document, thresholds: Thresholds, *, speaks: bool) -> Iterator[Finding]:
    replica, away_seconds = called(row), row.get("away_seconds")
    if row.get("state") == "away":
        if away_seconds is not None and away_seconds > AWAY_SECONDS_MAX:
            yield Finding(
                Severity.WARNING,
                f"{replica} has been away for {show_seconds(away_seconds)}",
                f"start {replica}; if it is gone for good, replicad slot drop {node} {replica}",
                Runbook.MISSING_REPLICA,
            )
        return

    lag, lag_bytes = row.get("lag_seconds"), row.get("lag_bytes")
    severity = thresholds.lag_seconds.severity(lag)
    if severity is not None and lag is not None and not speaks:
        what = f"{replica} is {show_seconds(lag)} behind it"
        yield Finding(severity, what, f"replicad top {node}", Runbook.LAG)
    severity = thresholds.lag_bytes.severity(lag_bytes)
    if severity is not None and lag_bytes is not None:
        what = f"{replica} is {show_size(lag_bytes)} behind it"
        yield Finding(severity, what, f"replicad top {node}", Runbook.LAG)
