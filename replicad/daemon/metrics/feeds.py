"""The change feeds of a node: who reads, how far, and what their slots hold."""

from __future__ import annotations

from replicad.daemon.metrics.metric import Document, Fields, Samples, gauge
from replicad.replication.policy.slot_states import SlotState

READING = gauge("replicad_feed_reading", "1 while the feed has a reader.", "feed")
SLOT = gauge("replicad_feed_slot_state", "1 for the state of the feed's slot now, else 0.", "feed", "state")

FIELDS = Fields(
    {
        "acknowledged_sequence": gauge(
            "replicad_feed_sequence", "The last sequence number that its reader acknowledged.", "feed"
        ),
        "lag_sequences": gauge(
            "replicad_feed_lag_sequences", "Sequence numbers that are not acknowledged.", "feed"
        ),
        "slot_retained_bytes": gauge(
            "replicad_feed_retained_bytes", "Bytes of log that follow what is acknowledged.", "feed"
        ),
        "slot_safe_bytes": gauge(
            "replicad_feed_safe_bytes", "How much more log its slot holds before it must let go.", "feed"
        ),
    }
)

METRICS = (READING, SLOT, *FIELDS.metrics)


def samples(document: Document) -> Samples:
    for entry in document.get("feeds", ()):
        feed = entry["name"]
        yield READING.of(entry["state"] == "reading", feed)
        for state in SlotState:
            yield SLOT.of(entry["slot"] == state.value, feed, state.value)
        yield from FIELDS.samples(entry, feed)
