"""What waits on a replica to be applied: a pause that was ordered, and batches that cannot be applied."""

from __future__ import annotations

from collections.abc import Iterator

from replicad.cli.health.finding import Document, Finding, Severity, part
from replicad.cli.health.runbook import Runbook
from replicad.units import show_count, show_seconds, show_size, show_time

CLOCKS_DIFFER_SECONDS = 10.0
"""How much longer than its delay a batch may wait before a clock is to blame."""


def delay_findings(node: str, document: Document) -> Iterator[Finding]:
    if document.get("role") != "replica":
        return
    apply = part(document, "apply")
    if trouble := apply.get("trouble"):
        yield Finding(
            Severity.CRITICAL,
            f"cannot apply what it received: {trouble}",
            f"replicad rejoin {node}, unless its disk is full",
            Runbook.PAUSED_REPLICA,
        )
    if cut := apply.get("cut"):
        yield Finding(
            Severity.WARNING,
            f"fetches again what it had received: {cut}",
            "check the disk, then delete what is kept there",
            Runbook.PAUSED_REPLICA,
        )
    waits = show_count(apply.get("waiting_sequences") or 0, "sequence number")
    size = show_size(apply.get("waiting_bytes") or 0)
    if apply.get("paused"):
        yield Finding(
            Severity.WARNING,
            f"is paused at {_point(apply)}: {waits} ({size}) wait to be applied",
            f"replicad replica-resume {node}",
            Runbook.PAUSED_REPLICA,
        )
    if refused := apply.get("refused"):
        # The primary keeps the log for it instead, within the limits of a slot.
        yield Finding(
            Severity.WARNING,
            f"receives nothing more: {refused}",
            *_room(refused),
        )

    # What is applied late counts from the primary's clock when it was written.
    wait, delay = apply.get("next_seconds") or 0, apply.get("delay_seconds") or 0
    if wait > delay + CLOCKS_DIFFER_SECONDS:
        primary = document.get("primary_clients") or document.get("primary")
        yield Finding(
            Severity.WARNING,
            f"applies nothing for {show_seconds(wait)}, although its delay is {show_seconds(delay)}: "
            "what waits was written by a clock that was ahead",
            f"timedatectl there and at {primary}; apply_delay_seconds = 0 applies at once what waits",
            Runbook.WRONG_CLOCK,
        )


def _room(refused: str) -> tuple[str, Runbook]:
    """The remedy for a received log that takes no more, and its page."""
    if "log_disk_floor_bytes" in refused:
        return "free or add disk space there; it goes on by itself", Runbook.FULL_DISK
    remedy = "raise [link] apply_delay_bytes_max, or lower apply_delay_seconds, and replicad reload it"
    return remedy, Runbook.PAUSED_REPLICA


def _point(apply: Document) -> str:
    time_us, sequence = apply.get("pause_time_us"), apply.get("pause_sequence")
    return f"sequence number {sequence}" if time_us is None else show_time(time_us)
