"""The shape of the store's tree, what it owes, and when it made writers wait."""

from __future__ import annotations

from replicad.daemon.metrics.metric import Document, Fields, Samples, counter, gauge

LEVEL_TABLES = gauge("replicad_level_tables", "Tables of the level, of all families.", "level")
LEVEL_BYTES = gauge("replicad_level_bytes", "Bytes of these tables.", "level")
STALLED = gauge("replicad_stalled", "1 while writers wait because the store cannot keep up.")
REFUSES = gauge(
    "replicad_store_refuses_writes", "1 while writes are refused, as for want of room on the disk."
)

BY_FAMILY = Fields(
    {
        "tables": gauge("replicad_family_tables", "Tables of the column family.", "family"),
        "table_bytes": gauge("replicad_family_table_bytes", "Bytes of these tables.", "family"),
        "memtable_bytes": gauge("replicad_family_memtable_bytes", "Memory of its active memtable.", "family"),
    }
)
FIELDS = Fields(
    {
        "table_entries": gauge(
            "replicad_table_entries", "Entries of all tables; old versions and deletions count."
        ),
        "compaction_debt_bytes": gauge(
            "replicad_compaction_debt_bytes", "What compaction has still to rewrite."
        ),
        "amplification.write": gauge(
            "replicad_write_amplification_ratio",
            "Bytes written to tables for each byte of log, since the store was opened.",
        ),
        "amplification.space": gauge(
            "replicad_space_amplification_ratio", "Bytes of tables for each byte that must be."
        ),
        "amplification.read": gauge(
            "replicad_read_amplification_ratio", "Places where a lookup may have to look, at most."
        ),
        "appended_bytes": counter(
            "replicad_log_appended_bytes_total", "Bytes that were appended to the log."
        ),
        "flushes": counter("replicad_flushes_total", "Memtables that were written to tables."),
        "flushed_bytes": counter("replicad_flushed_bytes_total", "Bytes of these tables."),
        "compactions": counter("replicad_compactions_total", "Merges of tables."),
        "compaction_bytes_read": counter("replicad_compaction_read_bytes_total", "Bytes that merges read."),
        "compaction_bytes_written": counter(
            "replicad_compaction_written_bytes_total", "Bytes that merges wrote."
        ),
        "stalls": counter("replicad_stalls_total", "How often writers had to wait."),
        "stalled_seconds": counter("replicad_stalled_seconds_total", "How long they waited."),
        "cache.hits": counter("replicad_block_cache_hits_total", "Blocks that were in the cache."),
        "cache.misses": counter("replicad_block_cache_misses_total", "Blocks that had to be read."),
        "snapshots": gauge("replicad_snapshots", "Snapshots that are held."),
    }
)

METRICS = (LEVEL_TABLES, LEVEL_BYTES, STALLED, REFUSES, *BY_FAMILY.metrics, *FIELDS.metrics)


def samples(document: Document) -> Samples:
    tree = document.get("store")
    if tree is None:
        return
    for level, known in enumerate(tree["levels"]):
        yield LEVEL_TABLES.of(known["tables"], str(level))
        yield LEVEL_BYTES.of(known["bytes"], str(level))
    for family, known in tree["families"].items():
        yield from BY_FAMILY.samples(known, family)
    yield STALLED.of(tree["stalled"] is not None)
    yield REFUSES.of(tree["refused"] is not None)
    yield from FIELDS.samples(tree)
