"""Whether a node's data can be trusted, and whether its store takes writes."""

from __future__ import annotations

from collections.abc import Iterator

from replicad.cli.health.finding import Document, Finding, Severity, part, redis_cli
from replicad.cli.health.role import OTHER_HISTORY
from replicad.cli.health.runbook import Runbook
from replicad.units import show_count, show_seconds, show_size

CLOCK_AHEAD_SECONDS_MAX = 5.0


def store_findings(node: str, document: Document) -> Iterator[Finding]:
    store = part(document, "store")
    refused, stalled = store.get("refused"), document.get("stalled")
    if failure := document.get("failure"):
        yield Finding(
            Severity.CRITICAL,
            f"its store failed: {failure}",
            "look at the disk, then restart the daemon",
            Runbook.FAILED_STORE,
        )
    elif refused:
        yield Finding(
            Severity.CRITICAL,
            f"refuses writes: {refused}",
            f"replicad switchover {node} --to a replica that is well, or restore: docs/backup.md"
            if "damage" in refused
            else "make room on its disk: it takes writes again by itself",
            Runbook.DAMAGED_PRIMARY if "damage" in refused else Runbook.FULL_DISK,
        )
    elif stalled:
        yield Finding(
            Severity.WARNING,
            f"its writes wait: {stalled}",
            "docs/metrics.md, if it lasts: the disk is slow",
            Runbook.SLOW_DISK,
        )

    short_bytes = part(store, "retention").get("short_of_room_bytes") or 0
    if short_bytes > 0 and not refused:
        yield Finding(
            Severity.WARNING,
            f"its disk lacks {show_size(short_bytes)} of room for log",
            "make room on its disk",
            Runbook.FULL_DISK,
        )


def verification_findings(node: str, document: Document) -> Iterator[Finding]:
    verification, link = part(document, "verification"), part(document, "link")
    doubt = verification.get("doubt")
    primary = document.get("primary_clients") or "PRIMARY"

    # A link that stopped for another history says the same, with its remedy.
    reported = link.get("stopped_code") in OTHER_HISTORY and not str(doubt).startswith(("damaged", "differs"))
    if doubt and not reported:
        refuses = "refuses reads: " if verification.get("refuses_reads") else ""
        if "repair is under way" in doubt:
            yield Finding(
                Severity.WARNING, f"{refuses}{doubt}", f"replicad top {node}", Runbook.DAMAGED_REPLICA
            )
        elif document.get("role") == "primary":
            yield Finding(
                Severity.CRITICAL,
                f"{refuses}its data is doubted: {doubt}",
                f"replicad switchover {node} --to a replica that is well",
                Runbook.DAMAGED_PRIMARY,
            )
        else:
            yield Finding(
                Severity.CRITICAL,
                f"{refuses}its data is doubted: {doubt}",
                f"{redis_cli(node)} REPLICAD.REPAIR, which fetches its data again"
                if doubt.startswith("damaged")
                else f"replicad verify {primary} {node} --repair",
                Runbook.DAMAGED_REPLICA if doubt.startswith("damaged") else Runbook.DIFFERENT_DATA,
            )
    elif quarantined := verification.get("quarantined"):
        yield Finding(
            Severity.WARNING,
            f"replaced {show_count(len(quarantined), 'damaged table')}, kept at {quarantined[0]}",
            "check the disk, then delete what is kept there",
            Runbook.DAMAGED_REPLICA,
        )

    discarded = part(document, "discarded")
    if batches := discarded.get("batches"):
        files = discarded.get("files") or ["discarded/"]
        yield Finding(
            Severity.WARNING,
            f"keeps {show_count(batches, 'batch', 'batches')} aside that a change of the primary lost",
            f"replicad inspect {files[0]}, then delete it",
            Runbook.DISCARDED_WRITES,
        )


def clock_findings(document: Document) -> Iterator[Finding]:
    clock, link = part(document, "store", "clock"), part(document, "link")
    for seconds, what in (
        (clock.get("ahead_seconds"), "its clock is {} ahead of the time that passed"),
        (clock.get("behind_seconds"), "its clock is {} behind its last commit"),
        (link.get("primary_clock_ahead_seconds"), "the clock of its primary is {} ahead of its own"),
    ):
        if seconds is not None and seconds > CLOCK_AHEAD_SECONDS_MAX:
            yield Finding(
                Severity.WARNING,
                what.format(show_seconds(seconds)),
                "timedatectl there; docs/backup.md has more",
                Runbook.WRONG_CLOCK,
            )
