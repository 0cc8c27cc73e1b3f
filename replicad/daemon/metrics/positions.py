"""Where the node's data stands, and how much log there is of it."""

from __future__ import annotations

from replicad.daemon.metrics.metric import Fields, gauge

FIELDS = Fields(
    {
        "applied_sequence": gauge("replicad_applied_sequence", "The last sequence number that readers see."),
        "durable_sequence": gauge(
            "replicad_durable_sequence", "The last sequence number that is durable here."
        ),
        "epoch": gauge("replicad_epoch", "The epoch of the last batch: it grows with each failover."),
        "store.flushed_sequence": gauge(
            "replicad_flushed_sequence",
            "The last sequence number that is in tables, so that recovery does not need its log.",
        ),
        "log.first_sequence": gauge(
            "replicad_log_first_sequence", "The first sequence number that the log holds."
        ),
        "log.segments": gauge("replicad_log_segments", "Segments of the log that are kept."),
        "log.log_bytes": gauge("replicad_log_bytes", "Bytes of log that are kept."),
        "store.retention.bytes_max": gauge(
            "replicad_log_limit_bytes", "How many bytes of log are kept when nobody needs more."
        ),
        "store.retention.short_of_room_bytes": gauge(
            "replicad_log_short_of_room_bytes", "By how much the disk's free space is below its reserve."
        ),
    }
)
METRICS = FIELDS.metrics
samples = FIELDS.samples
