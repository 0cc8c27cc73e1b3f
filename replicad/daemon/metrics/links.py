"""Links from primaries of other databases to this one."""

from __future__ import annotations

from replicad.daemon.metrics.metric import Document, Fields, Samples, counter, gauge

STATES = ("connecting", "seeding", "streaming", "waiting", "stopped", "paused", "standby")

STATE = gauge("replicad_links_state", "1 for the state of the link now, else 0.", "link", "state")

FIELDS = Fields(
    {
        "lag_sequences": gauge(
            "replicad_links_lag_sequences",
            "Sequence numbers of the source that were not read when it was heard last.",
            "link",
        ),
        "batches_applied": counter(
            "replicad_links_batches_applied_total",
            "Batches that were merged since the link began.",
            "link",
        ),
        "batches_dropped": counter(
            "replicad_links_batches_dropped_total", "Batches that came before or were made here.", "link"
        ),
        "operations_won": counter(
            "replicad_links_operations_won_total", "Operations that replaced what was here.", "link"
        ),
        "operations_lost": counter(
            "replicad_links_operations_lost_total", "Operations that were older than what was here.", "link"
        ),
    }
)

METRICS = (STATE, *FIELDS.metrics)


def samples(document: Document) -> Samples:
    for row in document.get("links") or ():
        if row["direction"] == "in":
            for state in STATES:
                yield STATE.of(float(row["state"] == state), row["name"], state)
            yield from FIELDS.samples(row, row["name"])
