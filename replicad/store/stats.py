"""What `Database.stats` reports."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from replicad.store.amplification import read_amplification, space_amplification, write_amplification
from replicad.store.background.log_upkeep import retention_rules
from replicad.store.compaction.picker import debt_bytes
from replicad.store.core import Core
from replicad.store.table.meta import LEVELS
from replicad.store.writable_core import Counters, WritableCore


def collect(core: Core) -> dict[str, Any]:
    """Plain values only, so that it can go into JSON. Bytes and seconds, as the names say."""
    # Leases have no timer: one that is over must not be counted.
    core.leases.expire()

    version = core.version
    families = {family.record.name: family.metas() for family in version.live()}
    metas = [[meta for levels in families.values() for meta in levels[level]] for level in range(LEVELS)]
    segments = core.catalog.segments()
    tables = [meta for level in metas for meta in level]
    cache = core.cache

    # A database that is only read has neither written nor merged anything.
    writable = core if isinstance(core, WritableCore) else None
    counters = Counters() if writable is None else writable.counters
    appended_bytes = 0 if writable is None else writable.log.appended_bytes

    memtables = any(family.active.entries for family in version.live()) + len(version.sealed)

    return {
        "levels": [
            {"tables": len(level), "bytes": sum(meta.size_bytes for meta in level)} for level in metas
        ],
        "families": {
            family.record.name: {
                "id": family.record.id,
                "tables": len(family.tables()),
                "table_bytes": sum(table.meta.size_bytes for table in family.tables()),
                "memtable_bytes": family.active.memory_bytes,
            }
            for family in version.live()
        },
        "tables": len(tables),
        "table_bytes": sum(meta.size_bytes for meta in tables),
        "table_entries": sum(meta.entries for meta in tables),
        "memory": {
            "active_memtable_bytes": core.memtables.memory_bytes,
            "sealed_memtable_bytes": version.waiting_bytes(),
            "sealed_memtables": len(version.sealed),
            "block_cache_bytes": cache.used_bytes,
            "block_cache_capacity_bytes": cache.capacity_bytes,
            "index_and_filter_bytes": cache.charged_bytes,
        },
        "cache": {"hits": cache.hits, "misses": cache.misses},
        "log": {
            "segments": len(segments),
            "archived": sum(segment.archived for segment in segments),
            "bytes": sum(segment.size_bytes for segment in segments),
            "first_sequence": segments[0].first_sequence if segments else None,
        },
        "retention": None if writable is None else _retention(writable),
        "flushed_sequence": version.flushed.sequence,
        "compaction_debt_bytes": sum(debt_bytes(levels, core.shape) for levels in families.values()),
        "appended_bytes": appended_bytes,
        "amplification": {
            "write": write_amplification(
                appended_bytes, counters.flushed_bytes, counters.compaction_bytes_written
            ),
            "space": space_amplification(metas),
            "read": max(read_amplification(levels, memtables) for levels in families.values()),
        },
        "clock": asdict(core.commit_clock.state(core.commit_time_us)),
        "stalled": core.stalled,
        "refused": core.refused,
        "snapshots": len(core.snapshots.sequences()),
        "leases": core.leases.describe(),
        "file_deletions_disabled": 0 if writable is None else writable.deletions.disabled,
        **asdict(counters),
    }


def _retention(core: WritableCore) -> dict[str, Any]:
    """Why the log is as long as it is."""
    rules = retention_rules(core)
    return {
        "recovery_needs_from": rules.flushed + 1,
        "held_from": rules.held_from,
        "bytes_max": rules.bytes_max,
        "seconds_max": rules.seconds_max,
        "short_of_room_bytes": rules.short_bytes,
    }
