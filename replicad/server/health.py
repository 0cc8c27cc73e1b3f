"""What a node says when it is asked whether it lives, serves reads, takes writes or follows.

Pure functions of the status document: each answers yes or no, and why in one line.
"""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]
Verdict = tuple[bool, str]


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


def is_replica(document: Document, lag_max: int | None, staleness_max: float | None = None) -> Verdict:
    ready, why = is_ready(document)
    if not ready or document["role"] != "replica":
        return False, why if not ready else "the primary"
    state = document["link"]["state"]
    if state != "streaming":
        return False, f"{state}: {document['link']['waits_for']}"
    lag, link = document.get("lag_sequences"), document["link"]
    behind = f"{lag} sequence numbers behind"
    if lag is None:
        heard = _seconds(link.get("primary_sequence_age_seconds"))
        behind = f"how far behind is not known: what it knows of its primary is {heard}"
    if lag_max is not None and (lag is None or lag > lag_max):
        return False, behind
    staleness = link.get("staleness_seconds")
    if staleness_max is not None and (staleness is None or staleness > staleness_max):
        return False, f"its data may be {_seconds(staleness)}"
    return True, f"{why}, {behind}"


def _seconds(age: float | None) -> str:
    return "of unknown age" if age is None else f"{age:.1f} s old"
