"""What the node's memory is used for. The process as a whole: `process_resident_memory_bytes`."""

from __future__ import annotations

from replicad.daemon.metrics.metric import Document, Samples, gauge

BYTES = gauge(
    "replicad_memory_bytes",
    "Memory by its use: memtables, block cache, indexes and filters, and what is buffered for clients.",
    "use",
)
CAPACITY = gauge("replicad_block_cache_capacity_bytes", "How much the block cache may take.")
METRICS = (BYTES, CAPACITY)

_USES = {
    "active_memtable_bytes": "active_memtables",
    "sealed_memtable_bytes": "sealed_memtables",
    "block_cache_bytes": "block_cache",
    "index_and_filter_bytes": "indexes_and_filters",
}


def samples(document: Document) -> Samples:
    memory = document.get("store", {}).get("memory", {})
    for name, use in _USES.items():
        if name in memory:
            yield BYTES.of(memory[name], use)
    if memory:
        yield CAPACITY.of(memory["block_cache_capacity_bytes"])
    buffered = document.get("clients", {}).get("buffered_bytes")
    if buffered is not None:
        yield BYTES.of(buffered, "clients")
