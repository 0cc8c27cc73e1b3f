"""What is kept of the status documents of a node: a few numbers a second, for a while."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from replicad.cli.health.finding import lag_seconds, part

READINGS_MAX = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A node at one moment; None for what it did not say."""

    at_seconds: float
    """By a clock that does not jump."""
    commands: int | None = None
    """Since the node serves its present data."""
    sequence: int | None = None
    """Of the newest write that its readers see."""
    lag_seconds: float | None = None
    disk_bytes: int | None = None
    """Log and tables."""


History = tuple[Reading, ...]
"""Of one node, oldest first."""


def reading(document: dict[str, Any] | None, at_seconds: float) -> Reading:
    """`document` is None when the node did not answer."""
    if document is None:
        return Reading(at_seconds=at_seconds)
    log_bytes = part(document, "log").get("log_bytes")
    table_bytes = part(document, "store").get("table_bytes")
    return Reading(
        at_seconds=at_seconds,
        commands=part(document, "clients").get("commands"),
        sequence=document.get("applied_sequence"),
        lag_seconds=None if document.get("role") == "primary" else lag_seconds(document),
        disk_bytes=None if log_bytes is None else log_bytes + (table_bytes or 0),
    )


def extended(history: History, newest: Reading) -> History:
    return (*history, newest)[-READINGS_MAX:]


def rates(history: History, name: str) -> list[float | None]:
    """How much a counter grew in a second, between each reading and the next.

    None where one of the two lacks it, or where it went back: the node was started again, or has other data.
    """
    found: list[float | None] = []
    for before, after in pairwise(history):
        first, last = getattr(before, name), getattr(after, name)
        seconds = after.at_seconds - before.at_seconds
        grew = first is not None and last is not None and last >= first and seconds > 0
        found.append((last - first) / seconds if grew else None)
    return found
