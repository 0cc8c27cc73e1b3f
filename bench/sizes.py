"""The sizes both engines are set to, and how they follow from the amount of data."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1 << 10
MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Budgets in bytes. `statistics`: RocksDB counts what it writes, which slows it a little.

    `index_in_cache`: RocksDB counts indexes and filters to the cache's budget, as we always do.
    """

    block_bytes: int = 16 * KIB
    cache_bytes: int = 256 * MIB
    memtable_bytes: int = 64 * MIB
    memtables: int = 3
    table_bytes: int = 64 * MIB
    level_base_bytes: int = 256 * MIB
    level_multiplier: int = 10
    bloom_bits: int = 10
    statistics: bool = False
    index_in_cache: bool = False

    @property
    def budget_bytes(self) -> int:
        """What the block cache and the memtables may hold together."""
        return self.cache_bytes + self.memtables * self.memtable_bytes


def roomy(data_bytes: int) -> Sizes:
    """The defaults, with a cache that holds all the data."""
    return Sizes(cache_bytes=max(256 * MIB, 2 * data_bytes))


def tight(data_bytes: int, *, statistics: bool = False) -> Sizes:
    """Sizes so small beside the data that flush and compaction run all the time, with three levels."""
    memtable_bytes = max(data_bytes // 32, 256 * KIB)
    return Sizes(
        cache_bytes=max(data_bytes // 4, MIB),
        memtable_bytes=memtable_bytes,
        table_bytes=memtable_bytes,
        level_base_bytes=4 * memtable_bytes,
        statistics=statistics,
        index_in_cache=True,
    )
