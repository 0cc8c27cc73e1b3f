"""What the tree costs beyond the data itself: three ratios over plain values."""

from __future__ import annotations

from replicad.store.compaction.picker import Levels


def write_amplification(appended_bytes: int, flushed_bytes: int, compacted_bytes: int) -> float | None:
    """Bytes written to tables for each byte written to the log; None while nothing was.

    The log itself is not counted, as in RocksDB's figure; frame headers count as written by users.
    """
    return (flushed_bytes + compacted_bytes) / appended_bytes if appended_bytes else None


def space_amplification(levels: Levels) -> float | None:
    """Table bytes for each byte of the last level that has any; None without tables.

    The last level holds each key once, so its size is an estimate, from below, of the live data.
    """
    sizes = [sum(table.size_bytes for table in level) for level in levels]
    last = next((size for size in reversed(sizes) if size), 0)
    return sum(sizes) / last if last else None


def read_amplification(levels: Levels, memtables: int) -> int:
    """The sorted runs that a read of a key may have to ask: memtables, tables of level 0, levels below."""
    return memtables + len(levels[0]) + sum(bool(level) for level in levels[1:])
