"""A replica's link to the node that it follows, and a bootstrap over it."""

from __future__ import annotations

from replicad.daemon.metrics.metric import Document, Fields, Samples, gauge
from replicad.replication.replica.link_state import LinkState

STATE = gauge("replicad_link_state", "1 for the state of the link now, else 0.", "state")
REFUSES = gauge("replicad_link_refuses_reads", "1 while reads are refused because the data may be too old.")

FIELDS = Fields(
    {
        "lag_sequences": gauge(
            "replicad_link_lag_sequences",
            "Sequence numbers of the primary that are not applied here, as far as is known.",
        ),
        "link.lag_seconds": gauge("replicad_link_lag_seconds", "How old the oldest is of these."),
        "link.staleness_seconds": gauge(
            "replicad_link_staleness_seconds", "How old a read from here may be, by this node's own clock."
        ),
        "link.primary_sequence": gauge(
            "replicad_link_primary_sequence", "Where the primary was when it was heard last."
        ),
        "link.primary_sequence_age_seconds": gauge(
            "replicad_link_primary_age_seconds", "How long ago that was."
        ),
        "link.primary_clock_ahead_seconds": gauge(
            "replicad_link_primary_clock_ahead_seconds",
            "By how much the primary's clock is ahead; network delay included.",
        ),
        "link.attempts": gauge(
            "replicad_link_attempts", "Attempts to connect since the link was there last."
        ),
        "bootstrap.size_bytes": gauge(
            "replicad_bootstrap_fetched_bytes", "What of the copy has come so far."
        ),
        "bootstrap.size_bytes_total": gauge(
            "replicad_bootstrap_wanted_bytes", "The size of the copy that is fetched."
        ),
        "bootstrap.files": gauge("replicad_bootstrap_fetched_files", "Files of the copy that have come."),
        "bootstrap.files_total": gauge("replicad_bootstrap_wanted_files", "Files of the copy."),
        "bootstrap.eta_seconds": gauge(
            "replicad_bootstrap_remaining_seconds", "About how long that still takes."
        ),
        "last_bootstrap.seconds": gauge(
            "replicad_bootstrap_last_seconds", "How long the last bootstrap took."
        ),
        "last_bootstrap.fetched_bytes": gauge(
            "replicad_bootstrap_last_bytes", "What the last bootstrap fetched."
        ),
    }
)

METRICS = (STATE, REFUSES, *FIELDS.metrics)


def samples(document: Document) -> Samples:
    link = document.get("link")
    if link is None:
        return
    for state in LinkState:
        yield STATE.of(link["state"] == state.value, state.value)
    yield REFUSES.of(link.get("reads_refused") is not None)
    yield from FIELDS.samples(document)
