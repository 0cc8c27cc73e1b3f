"""What a node says when it is asked whether it lives, serves reads, takes writes or follows.

Pure functions of the status document: each answers yes or no, and why in one line.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

Document = dict[str, Any]
Verdict = tuple[bool, str]
LagKind = Literal["sequences", "seconds", "staleness"]
"""How a lag is measured: how many sequence numbers are not applied, how long ago the primary had the first of
them, or how old a read may be."""


def is_alive(document: Document) -> Verdict:
    failure = document.get("failure")
    return failure is None, "alive" if failure is None else f"the store failed: {failure}"


def is_ready(document: Document) -> Verdict:
    alive, why = is_alive(document)
    if not alive:
        return alive, why
    if document.get("position") is None:
        return False, f"no data yet; waits for {document.get('link', {}).get('waits_for', 'its primary')}"
    if document.get("verification", {}).get("refuses_reads"):
        return False, f"refuses reads: {document['verification']['doubt']}"
    if refusal := document.get("link", {}).get("reads_refused"):
        return False, f"refuses reads: {refusal}"
    return True, f"{document['role']} at {document['position']}"


def is_primary(document: Document) -> Verdict:
    ready, why = is_ready(document)
    if not ready or document["role"] != "primary":
        return False, why if not ready else "a replica"
    if (fenced := document.get("fenced_by_epoch")) is not None:
        return False, f"fenced by epoch {fenced}"
    if document["standing"] != "primary":
        return False, f"writes wait: {document['standing']}"
    if refusal := document.get("store", {}).get("refused"):
        return False, f"refuses writes: {refusal}"
    return True, why


def is_replica(document: Document, lag_max: Mapping[LagKind, float] = MappingProxyType({})) -> Verdict:
    """Whether it follows, and is not further behind than this; what is not known is too far."""
    ready, why = is_ready(document)
    if not ready or document["role"] != "replica":
        return False, why if not ready else "the primary"
    state = document["link"]["state"]
    if state != "streaming":
        return False, f"{state}: {document['link']['waits_for']}"
    for kind, most in lag_max.items():
        lag = _lag(document, kind)
        if lag is None or lag > most:
            return False, _behind(document, kind)
    return True, f"{why}, {_behind(document, 'sequences')}"


def _lag(document: Document, kind: LagKind) -> float | None:
    link = document["link"]
    lags: dict[LagKind, float | None] = {
        "sequences": document.get("lag_sequences"),
        "seconds": link.get("lag_seconds"),
        "staleness": link.get("staleness_seconds"),
    }
    return lags[kind]


def _behind(document: Document, kind: LagKind) -> str:
    lag, link = _lag(document, kind), document["link"]
    if kind == "staleness":
        return f"its data may be {_old(lag)}"
    if lag is None:
        heard = _old(link.get("primary_sequence_age_seconds"))
        return f"how far behind is not known: what it knows of its primary is {heard}"
    return f"{lag} sequence numbers behind" if kind == "sequences" else f"{lag:.1f} s behind"


def _old(age: float | None) -> str:
    return "of unknown age" if age is None else f"{age:.1f} s old"
