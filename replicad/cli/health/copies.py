"""Backups and the archived log: whether what is there would help."""

from __future__ import annotations

from collections.abc import Iterator

from replicad.cli.health.finding import Document, Finding, Severity, Threshold, Thresholds, part
from replicad.cli.health.runbook import Runbook
from replicad.units import show_seconds

ARCHIVE_SECONDS = Threshold(warning=900)


def copies_findings(node: str, document: Document, thresholds: Thresholds) -> Iterator[Finding]:
    yield from _backup_findings(node, document, thresholds)
    yield from _archive_findings(node, part(document, "log_archive"))


def _backup_findings(node: str, document: Document, thresholds: Thresholds) -> Iterator[Finding]:
    backup = part(document, "backup")
    last = part(backup, "last")
    again = f"replicad backup create --node {node} {last.get('target') or 'TARGET'}"
    if error := last.get("error"):
        page = _page(error, Runbook.FAILED_BACKUP)
        how = "was stopped" if last.get("stopped") else "failed"
        yield Finding(Severity.WARNING, f"its last backup {how}: {error}", again, page)
    if error := last.get("purge_error"):
        # Nothing is removed then, and the target fills up without another sign.
        yield Finding(
            Severity.WARNING,
            f"its old backups were not removed: {error}",
            f"replicad backup verify {last.get('target') or 'TARGET'} --all",
            _page(error, Runbook.DAMAGED_BACKUP),
        )
    age = backup.get("age_seconds")
    severity = thresholds.backup_seconds.severity(age)
    if severity is not None and age is not None:
        what = f"its last backup is {show_seconds(age)} old"
        yield Finding(severity, what, again, Runbook.FAILED_BACKUP)


def _archive_findings(node: str, archive: Document) -> Iterator[Finding]:
    target = archive.get("target") or "TARGET"
    if gap := archive.get("gap"):
        yield Finding(
            Severity.CRITICAL,
            f"log was gone before it was archived: {gap[0]} to {gap[-1]}",
            f"replicad backup create --node {node} {target}, which ends the gap",
            Runbook.LOG_ARCHIVE,
        )
    elif archive.get("restorable") is False:
        yield Finding(
            Severity.WARNING,
            "its archived log cannot be restored: there is no backup to start from",
            f"replicad backup create --node {node} {target}",
            Runbook.LOG_ARCHIVE,
        )

    age = archive.get("age_seconds")
    if archive.get("state") == "failing":
        since = show_seconds(archive.get("failing_seconds") or 0)
        yield Finding(
            Severity.WARNING,
            f"has not archived its log for {since}: {archive.get('last_error')}",
            f"replicad backup list {target}",
            _page(archive.get("last_error"), Runbook.LOG_ARCHIVE),
        )
    elif (severity := ARCHIVE_SECONDS.severity(age)) is not None and age is not None:
        yield Finding(
            severity,
            f"its archive is {show_seconds(age)} behind its log",
            f"replicad backup list {target}",
            Runbook.LOG_ARCHIVE,
        )


def _page(error: object, otherwise: Runbook) -> Runbook:
    """A target that is not the one it was says so, whatever was attempted there."""
    return Runbook.LOST_MOUNT if "is not the target that it was" in str(error) else otherwise
