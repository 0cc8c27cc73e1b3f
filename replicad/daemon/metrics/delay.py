"""What waits on a replica to be applied."""

from __future__ import annotations

from replicad.daemon.metrics.metric import Document, Fields, Samples, gauge

PAUSED = gauge("replicad_apply_paused", "1 while a replica is told to stand still, or to do so at a point.")

FIELDS = Fields(
    {
        "apply.delay_seconds": gauge(
            "replicad_apply_delay_seconds", "How old a batch has to be before this replica applies it."
        ),
        "apply.lag_seconds": gauge(
            "replicad_apply_lag_seconds",
            "How long ago the next batch that waits was committed; 0: none waits.",
        ),
        "apply.waiting_sequences": gauge(
            "replicad_apply_waiting_sequences", "Sequence numbers that were received and not applied."
        ),
        "apply.waiting_bytes": gauge(
            "replicad_apply_waiting_bytes", "The size of the received log on the replica's disk."
        ),
    }
)

METRICS = (PAUSED, *FIELDS.metrics)


def samples(document: Document) -> Samples:
    apply = document.get("apply")
    if apply is None:
        return
    yield PAUSED.of(apply["paused"])
    yield from FIELDS.samples(document)
