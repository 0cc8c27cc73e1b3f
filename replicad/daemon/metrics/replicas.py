"""The replicas of a node: how far each is behind, by stage, and what its slot holds."""

from __future__ import annotations

from replicad.daemon.metrics.metric import Document, Fields, Samples, counter, gauge
from replicad.replication.policy.slot_states import SlotState

STAGES = ("sent", "received", "applied", "durable")

INFO = gauge("replicad_replica_info", "Always 1; the labels name the replica.", "replica", "name", "address")
CONNECTED = gauge(
    "replicad_replica_streams",
    "1 while the replica gets the log, 0 while it fetches a copy or is away.",
    "replica",
)
SEQUENCE = gauge(
    "replicad_replica_sequence",
    "The last sequence number that reached this stage at the replica.",
    "replica",
    "stage",
)
LAG_SEQUENCES = gauge(
    "replicad_replica_lag_sequences", "Sequence numbers that have not reached this stage.", "replica", "stage"
)
LAG_BYTES = gauge(
    "replicad_replica_lag_bytes",
    "About how many bytes of log have not reached this stage.",
    "replica",
    "stage",
)
LAG_SECONDS = gauge(
    "replicad_replica_lag_seconds",
    "How long ago the oldest batch was written here that has not reached this stage; 0 when there is none.",
    "replica",
    "stage",
)
SLOT = gauge("replicad_slot_state", "1 for the state of the replica's slot now, else 0.", "replica", "state")

FIELDS = Fields(
    {
        "away_seconds": gauge(
            "replicad_replica_away_seconds", "For how long the replica is not connected.", "replica"
        ),
        "sent_bytes": counter(
            "replicad_replica_sent_bytes_total",
            "Bytes sent to the replica over its present connection.",
            "replica",
        ),
        "slot_retained_bytes": gauge(
            "replicad_slot_retained_bytes",
            "Bytes of log that follow what is durable at the replica.",
            "replica",
        ),
        "slot_safe_bytes": gauge(
            "replicad_slot_safe_bytes", "How much more log the slot holds before it must let go.", "replica"
        ),
        "slot_exhausted_in_seconds": gauge(
            "replicad_slot_exhaustion_seconds",
            "When that will be at the rate of the last minute; without a sample while the log does not grow.",
            "replica",
        ),
        "copy_bytes": gauge(
            "replicad_copy_bytes", "Size of the copy that the replica fetches from here.", "replica"
        ),
        "eta_seconds": gauge(
            "replicad_copy_remaining_seconds", "About how long the copy still takes.", "replica"
        ),
        "verified_differences": gauge(
            "replicad_replica_mismatches",
            "What differed when the replica compared its data with this node's, in its present session.",
            "replica",
        ),
        "verified_age_seconds": gauge(
            "replicad_replica_verification_age_seconds", "How long ago that was.", "replica"
        ),
    }
)

METRICS = (INFO, CONNECTED, SEQUENCE, LAG_SEQUENCES, LAG_BYTES, LAG_SECONDS, SLOT, *FIELDS.metrics)


def samples(document: Document) -> Samples:
    for entry in document.get("replicas", ()):
        replica = entry["node_id"]
        yield INFO.of(1, replica, entry.get("name", ""), entry.get("address", ""))
        yield CONNECTED.of(entry.get("state") == "streaming", replica)
        for stage, known in entry.get("stages", {}).items():
            yield SEQUENCE.of(known["sequence"], replica, stage)
            yield LAG_SEQUENCES.of(known["lag_sequences"], replica, stage)
            yield LAG_BYTES.of(known["lag_bytes"], replica, stage)
            yield LAG_SECONDS.of(known["lag_seconds"], replica, stage)
        if entry.get("slot") is not None:
            for state in SlotState:
                yield SLOT.of(entry["slot"] == state.value, replica, state.value)
        yield from FIELDS.samples(entry, replica)
