"""What stands between a node and those who use it: certificates, limits of clients, its own log lines."""

from __future__ import annotations

from collections.abc import Iterator

from replicad.cli.health.finding import Document, Finding, Severity, part, redis_cli
from replicad.cli.health.runbook import Runbook
from replicad.units import show_count, show_seconds

CERTIFICATE_DAYS_MIN = 14
CERTIFICATE_DAYS_CRITICAL = 3
CLIENTS_SHARE_MAX = 0.9


def doors_findings(node: str, document: Document) -> Iterator[Finding]:
    tls, clients = part(document, "tls"), part(document, "clients")
    renew = f"put new files in place, then replicad reload {node} (docs/security.md)"
    days = tls.get("certificate_days_left")
    if days is not None and days < CERTIFICATE_DAYS_MIN:
        urgent = days < CERTIFICATE_DAYS_CRITICAL
        left = "has ended" if days <= 0 else f"ends in {show_count(round(days), 'day')}"
        severity = Severity.CRITICAL if urgent else Severity.WARNING
        yield Finding(severity, f"its certificate {left}", renew, Runbook.CERTIFICATE)
    if refused := tls.get("refused"):
        what = f"does not use its new certificate: {_words(refused)}"
        yield Finding(Severity.WARNING, what, renew, Runbook.CERTIFICATE)

    connected, most = clients.get("connected"), clients.get("connected_max")
    if connected and most and connected > CLIENTS_SHARE_MAX * most:
        yield Finding(
            Severity.WARNING,
            f"has {connected} of at most {show_count(most, 'client')}",
            "raise [clients] clients_max: docs/configuration.md",
            Runbook.CLIENTS_LIMIT,
        )

    if paused := clients.get("paused"):
        left = show_seconds(clients.get("paused_seconds_left") or 0.0)
        yield Finding(
            Severity.WARNING,
            f"holds all {paused} of clients for another {left}: CLIENT PAUSE",
            f"{redis_cli(node)} CLIENT UNPAUSE ends it",
            Runbook.PAUSED_CLIENTS,
        )

    # Both are counted since the start, and nothing but a restart takes them back.
    if errors := clients.get("internal_errors"):
        yield Finding(
            Severity.NOTE,
            f"{show_count(errors, 'command')} failed by a bug",
            "its log has the details: report them",
            Runbook.INTERNAL_ERRORS,
        )
    if dropped := document.get("log_lines_dropped"):
        yield Finding(
            Severity.NOTE,
            f"dropped {show_count(dropped, 'log line')}: what reads its stderr was too slow",
            "journalctl may lack them",
            Runbook.DROPPED_LOG_LINES,
        )


def _words(value: object) -> str:
    match value:
        case list():
            return "; ".join(str(each) for each in value)
        case dict():
            return "; ".join(f"{name}: {each}" for name, each in value.items())
    return str(value)
