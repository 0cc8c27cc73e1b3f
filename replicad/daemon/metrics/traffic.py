"""What goes over the replication port, in both directions."""

from __future__ import annotations

from replicad.daemon.metrics.metric import Document, Fields, Samples, counter

COPIES = counter(
    "replicad_full_copies_total",
    "Copies that were made for replicas, by the code of the agreement's reason.",
    "reason",
)
FIELDS = Fields(
    {
        "streams": counter(
            "replicad_streams_total", "Sessions of replicas that went on from the log, without a copy."
        ),
        "stream_sent_bytes": counter(
            "replicad_stream_sent_bytes_total", "Bytes of log that were sent to replicas."
        ),
        "stream_sent_batches": counter(
            "replicad_stream_sent_batches_total", "Batches that were sent to replicas."
        ),
        "copy_sent_bytes": counter(
            "replicad_copy_sent_bytes_total", "Bytes of copies that were sent to replicas."
        ),
        "stream_received_bytes": counter(
            "replicad_stream_received_bytes_total", "Bytes of log that came from the node that is followed."
        ),
        "copy_received_bytes": counter(
            "replicad_copy_received_bytes_total", "Bytes of copies that came from the node that is followed."
        ),
    }
)
METRICS = (COPIES, *FIELDS.metrics)


def samples(document: Document) -> Samples:
    traffic = document.get("traffic", {})
    for reason, count in traffic.get("full_copies", {}).items():
        yield COPIES.of(count, reason)
    yield from FIELDS.samples(traffic)
