"""Whether a node is what it should be: its standing, and the link of a replica."""

from __future__ import annotations

from collections.abc import Iterator

from replicad.cli.health.finding import (
    OPERATING,
    Document,
    Finding,
    Severity,
    Thresholds,
    lag_seconds,
    part,
    redis_cli,
)
from replicad.cli.health.runbook import Runbook
from replicad.units import show_seconds, show_size

_CHANGING = {
    "paused": "its writes wait: a switchover is under way",
    "handing-over": "its writes wait: a switchover is under way",
    "promoting": "is being promoted",
}
OTHER_HISTORY = frozenset({"diverged", "other-epoch-id", "unknown-fork", "replica-ahead"})
"""Codes of a stopped link that `rejoin` mends."""

BACKUP_PAGES = {
    "damaged-backup": Runbook.DAMAGED_BACKUP,
    "unusable-backup": Runbook.RESTORE_REFUSED,
    "wrong-backup": Runbook.RESTORE_REFUSED,
    "no-backup": Runbook.RESTORE_REFUSED,
    "backup-ahead": Runbook.RESTORE_REFUSED,
}
"""Codes of a link that stopped because its replica must not start from the backups that are there."""


def standing_findings(node: str, document: Document) -> Iterator[Finding]:
    standing, primary = document.get("standing"), document.get("primary_clients")
    if clash := document.get("clash"):
        yield Finding(
            Severity.CRITICAL,
            f"is not the only primary: {clash}",
            f"stop the one whose last writes can be lost, then replicad rejoin it ({OPERATING})",
            Runbook.TWO_PRIMARIES,
        )
    if standing == "fenced":
        yield Finding(
            Severity.CRITICAL,
            f"takes no writes: fenced by epoch {document.get('fenced_by_epoch')} of another primary",
            f"replicad status {primary}" if primary else _find_primary(node, document),
            Runbook.FENCED_NODE,
        )
    if standing == "doubting" and not document.get("failover"):
        # Where etcd says who leads, `failover_findings` says what it waits for.
        yield Finding(
            Severity.CRITICAL,
            "its writes wait: it asks the other nodes whether it is still the primary",
            f"start the nodes that it knows ({OPERATING}, After a loss of power)",
            Runbook.DOUBTING_PRIMARY,
        )
    if standing in _CHANGING:
        until = f"replicad status {node}, until it has ended"
        yield Finding(Severity.WARNING, _CHANGING[standing], until, Runbook.ROLE_CHANGE)


def link_findings(node: str, document: Document, thresholds: Thresholds) -> Iterator[Finding]:
    if document.get("role") != "replica" or document.get("standing") == "fenced":
        return
    link, has_data = part(document, "link"), document.get("database_id") is not None
    state = link.get("state")
    primary = document.get("primary_clients") or document.get("primary")
    lag = lag_seconds(document)
    lags = thresholds.lag_seconds.severity(lag)

    if state == "stopped":
        error = link.get("last_error") or link.get("waits_for")
        yield Finding(
            Severity.CRITICAL,
            f"does not follow {primary}: {error}",
            _stopped_remedy(node, document, link),
            _stopped_page(link),
        )
    elif state in ("none", "down"):
        yield Finding(
            Severity.CRITICAL,
            "follows no node",
            _find_primary(node, document),
            Runbook.NO_PRIMARY,
        )
    elif part(document, "apply").get("refused") and state == "waiting":
        # It waits for its own room, which `delay_findings` says.
        lags = None
    elif state in ("waiting", "connecting", "agreeing") and link.get("last_error"):
        age = "of unknown age" if lag is None else f"{show_seconds(lag)} old"
        data = f"its data is {age}" if has_data else "it has no data yet"
        severity = lags or Severity.WARNING if has_data else Severity.CRITICAL
        what = f"gets no log, {data}: {link['last_error']}"
        yield Finding(severity, what, _look_at_primary(document), Runbook.LOST_LINK)
        lags = None
    elif not has_data or state in ("bootstrapping", "installing"):
        what = "fetches its data again" if has_data else "has no data yet"
        what = "restores a backup" if state == "restoring" else what
        what = f"{what}: {progress(document)}"
        yield Finding(Severity.WARNING, what, f"replicad top {node}", Runbook.BOOTSTRAP)

    if refused := link.get("reads_refused"):
        yield Finding(Severity.WARNING, f"refuses reads: {refused}", _look_at_primary(document), Runbook.LAG)

    if lag is not None and lags is not None:
        yield Finding(
            lags,
            f"is behind: a read may be {show_seconds(lag)} old",
            " ".join(["replicad top", *filter(None, [document.get("primary_clients")]), node]),
            Runbook.LAG,
        )


def _look_at_primary(document: Document) -> str:
    """Only the client port of the primary can be asked. A replica that never reached it knows the other."""
    if clients := document.get("primary_clients"):
        return f"replicad status {clients}"
    primary = document.get("primary") or "its primary"
    return f"does the daemon run whose replication port is {primary}? systemctl status 'replicad-*' there"


def _find_primary(node: str, document: Document) -> str:
    if document.get("failover"):
        return f"replicad failover status {node}, which says who leads"
    return f"{redis_cli(node)} REPLICAOF HOST PORT, the replication port of its primary"


def _stopped_remedy(node: str, document: Document, link: Document) -> str:
    code = link.get("stopped_code")
    if code in OTHER_HISTORY:
        return f"replicad rejoin {node}, which saves what only it has ({OPERATING})"
    if code in BACKUP_PAGES:
        target = document.get("from_backup") or "TARGET"
        if code == "damaged-backup":
            return f"replicad backup verify {target} --all --checksums"
        return f"replicad backup list {target}"
    if code == "wrong-database":
        return f"is {document.get('primary')} the right primary? If so, start it with an empty --data"
    return f"{OPERATING}, A replica that cannot follow"


def _stopped_page(link: Document) -> Runbook:
    code = link.get("stopped_code")
    if code in OTHER_HISTORY:
        return Runbook.DIVERGED_NODE
    if code in BACKUP_PAGES:
        return BACKUP_PAGES[code]
    return Runbook.ANOTHER_DATABASE if code == "wrong-database" else Runbook.STOPPED_LINK


def progress(document: Document) -> str:
    """How far the bootstrap is, or what it waits for."""
    bootstrap = part(document, "bootstrap")
    total = bootstrap.get("size_bytes_total")
    if not total:
        return f"it waits for {part(document, 'link').get('waits_for') or 'its primary'}"
    done = bootstrap.get("size_bytes", 0)
    left = bootstrap.get("eta_seconds")
    text = f"{show_size(done)} of {show_size(total)}"
    return text if left is None else f"{text}, {show_seconds(left)} left"
