"""The links of a primary to those of other databases."""

from __future__ import annotations

from collections.abc import Iterator

from replicad.cli.health.finding import Document, Finding, Severity
from replicad.cli.health.runbook import Runbook

LAG_SEQUENCES_MAX = 100_000


def links_findings(node: str, document: Document) -> Iterator[Finding]:
    for row in document.get("links") or ():
        if row.get("direction") != "in":
            continue
        name, source, reason = row.get("name"), row.get("source"), row.get("reason")
        if row.get("not_configured"):
            yield Finding(
                Severity.WARNING,
                f"link {name} is not what the configuration says: {row['not_configured']}",
                f"change [links.{name}], or replicad link remove {node} {name}",
                Runbook.LINK_BETWEEN_PRIMARIES,
            )
            if not row.get("database"):
                continue  # It was never added.
        match row.get("state"):
            case "stopped":
                yield Finding(
                    Severity.CRITICAL,
                    f"link {name} from {source} stopped: {reason}",
                    f"once the cause is mended: replicad link seed {node} {name}, and the same of the other "
                    "primary's link from here",
                    Runbook.LINK_BETWEEN_PRIMARIES,
                )
            case "waiting" if reason:
                yield Finding(
                    Severity.WARNING,
                    f"link {name} gets nothing from {source}: {reason}",
                    "is its source there? replicad status there",
                    Runbook.LINK_BETWEEN_PRIMARIES,
                )
            case "paused":
                yield Finding(
                    Severity.NOTE,
                    f"link {name} from {source} is paused",
                    f"replicad link resume {node} {name}",
                    Runbook.LINK_BETWEEN_PRIMARIES,
                )
            case "streaming" if (row.get("lag_sequences") or 0) > LAG_SEQUENCES_MAX:
                yield Finding(
                    Severity.WARNING,
                    f"link {name} is {row['lag_sequences']} sequence numbers behind {source}",
                    f"replicad link list {node}",
                    Runbook.LINK_BETWEEN_PRIMARIES,
                )
