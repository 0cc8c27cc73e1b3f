"""One line a node: who it is, how far, what it waits for, and whether it is well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from replicad.cli.health.finding import Document, Finding, Severity, lag_seconds, part
from replicad.cli.health.replicas import connected
from replicad.cli.health.role import progress
from replicad.cli.nodes.ask import NodeAnswer
from replicad.units import show_seconds

_PLAIN = frozenset({"primary", "following"})
"""Standings that the role says already."""
_LINKS = {"stopped": "a person", "waiting": "the next attempt to connect", "down": "its daemon"}
"""What those links wait for, without the reason: a finding gives it."""


class NodeSummary(NamedTuple):
    node: str
    role: str
    position: str
    lag: str
    waits_for: str
    health: str


def summarize(answers: Sequence[NodeAnswer], findings: Sequence[Finding]) -> list[NodeSummary]:
    rows = []
    for answer in answers:
        worst = max((found.severity for found in findings if found.node == answer.name), default=None)
        health = "well" if worst in (None, Severity.NOTE) else worst.name.lower()
        document = answer.document
        if document is None:
            rows.append(NodeSummary(answer.name, "-", "-", "-", "an answer", health))
            continue
        lag = None if answer.is_directory else lag_seconds(document)
        rows.append(
            NodeSummary(
                answer.name,
                _role(document),
                # Without the hash of the history: two nodes are compared by `verify`, not by eye.
                ":".join(str(document.get("position") or "-").split(":")[:2]),
                "-" if lag is None or document.get("role") == "primary" else show_seconds(lag),
                _shown(document) if answer.is_directory else waits_for(document),
                "not asked" if answer.is_directory else health,
            )
        )
    return rows


def _role(document: Document) -> str:
    role, standing = document.get("role") or "-", document.get("standing")
    return role if standing is None or standing in _PLAIN else f"{role}, {standing}"


def _shown(document: Document) -> str:
    """What a directory says of its node: its last state, and since when that may be over."""
    link = f"{document['link']}, " if document.get("link") else ""
    return f"{link}shown {document.get('shown_at', 'never')}"


def waits_for(document: Document) -> str:
    if document.get("role") == "primary":
        rows = document.get("replicas") or []
        waits = document.get("stalled") or "writes"
        replicas = f"{len(connected(document))} of {len(rows)} replicas there" if rows else "no replicas"
        feeds = document.get("feeds")
        read = (
            f", {sum(row.get('state') == 'reading' for row in feeds)} of {len(feeds)} feeds" if feeds else ""
        )
        return f"{waits}; {replicas}{read}"
    link = part(document, "link")
    state = link.get("state")
    if state in ("bootstrapping", "restoring") and document.get("bootstrap"):
        return f"its data: {progress(document)}"
    return _LINKS.get(str(state)) or str(link.get("waits_for") or "-")
