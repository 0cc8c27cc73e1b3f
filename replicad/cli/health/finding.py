"""Something that is wrong with a node, and from which number on it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

from replicad.cli.health.runbook import Runbook

Document = dict[str, Any]
"""A status document. Nodes of other versions leave keys out, so every rule does without each of them."""

OPERATING = "docs/operating.md"


class Severity(IntEnum):
    """In the order in which a person should look at them."""

    NOTE = 0
    """Worth knowing; a check counts it as well."""
    WARNING = 1
    UNKNOWN = 2
    """Nobody can say how the node is."""
    CRITICAL = 3


class Finding(NamedTuple):
    severity: Severity
    what: str
    """It follows the name of the node and a colon."""
    remedy: str
    """A command, or a page to read."""
    page: Runbook
    node: str = ""


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """What is above these is a finding; None: never."""

    warning: float | None = None
    critical: float | None = None

    def severity(self, value: float | None) -> Severity | None:
        """None when the value is good, or not known."""
        if value is None:
            return None
        if self.critical is not None and value > self.critical:
            return Severity.CRITICAL
        return Severity.WARNING if self.warning is not None and value > self.warning else None


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """What the caller may choose. The defaults agree with deploy/prometheus/replicad.rules.yml where it has
    the same."""

    lag_seconds: Threshold = Threshold(warning=30, critical=300)
    lag_bytes: Threshold = Threshold()
    backup_seconds: Threshold = Threshold(warning=129_600)
    replicas: int = 1
    """How many replicas each primary needs."""


def part(document: Document, *names: str) -> Document:
    """The document within the document; empty where it is missing."""
    for name in names:
        document = document.get(name) or {}
    return document


def lag_seconds(document: Document) -> float | None:
    """How old a read of a replica may be, or how long it has been missing something; None of a primary.

    Of one that is to apply late: how long it has been missing something that it did not receive.
    """
    link, apply = part(document, "link"), part(document, "apply")
    if apply.get("delay_seconds") or apply.get("paused"):
        received: float | None = link.get("received_lag_seconds")
        return received
    staleness: float | None = link.get("staleness_seconds")
    return link.get("lag_seconds") if staleness is None else staleness


def redis_cli(node: str) -> str:
    """The command that talks to the node: what no verb does, a command of the node does."""
    host, _, port = node.rpartition(":")
    return f"redis-cli -h {host or '127.0.0.1'} -p {port}"


def called(row: Document) -> str:
    """How a replica is called in the document of the node that it follows."""
    return str(row.get("name") or str(row.get("node_id"))[:12])
