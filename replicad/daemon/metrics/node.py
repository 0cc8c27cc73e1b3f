"""What the node is and does."""

from __future__ import annotations

import platform

from replicad.daemon.metrics.metric import Document, Fields, Samples, counter, gauge
from replicad.replication.policy.roles import Standing
from replicad.server.health import is_primary, is_ready
from replicad.version import VERSION

BUILD = gauge("replicad_build_info", "Always 1; the labels say what runs.", "version", "python")
STANDING = gauge("replicad_node_standing", "1 for the standing of the node now, else 0.", "standing")
READS = gauge("replicad_node_serves_reads", "Whether clients read here.")
WRITES = gauge("replicad_node_takes_writes", "Whether clients write here: the node is a primary that may.")
FAILED = gauge("replicad_store_failed", "1 after the store failed; the process ends then.")
FENCED = gauge("replicad_node_fenced", "1 while the node knows that another one has a higher epoch.")
CLASH = gauge("replicad_node_clash", "1 while another node claims to be primary in the same epoch.")
PEERS = gauge("replicad_node_peers", "How many other nodes this one knows.")

FIELDS = Fields(
    {
        "log_lines_dropped": counter(
            "replicad_log_lines_dropped_total", "Lines of the program's log that nobody took in time."
        ),
        "discarded.batches": gauge(
            "replicad_discarded_batches",
            "Batches that the node's history lost by a failover, and that are kept in files of their own.",
        ),
    }
)

METRICS = (BUILD, STANDING, READS, WRITES, FAILED, FENCED, CLASH, PEERS, *FIELDS.metrics)


def samples(document: Document) -> Samples:
    yield BUILD.of(1, VERSION, platform.python_version())
    for standing in Standing:
        yield STANDING.of(document.get("standing") == standing.value, standing.value)
    yield READS.of(is_ready(document)[0])
    yield WRITES.of(is_primary(document)[0])
    yield FAILED.of(document.get("failure") is not None)
    yield FENCED.of(document.get("fenced_by_epoch") is not None)
    yield CLASH.of(bool(document.get("clash")))
    yield PEERS.of(len(document.get("peers", ())))
    yield from FIELDS.samples(document)
