"""The block cache: a budget of bytes over all tables, CLOCK eviction, blocks that leave with their table."""

from __future__ import annotations

from replicad import kernels
from tests.support.oracle.block import PUT, Entry
from tests.support.tables import BuiltTable, build_tables

ENTRIES = [Entry(b"%04d" % i, i + 1, PUT, b"v" * 90) for i in range(400)]


def built() -> BuiltTable:
    [table] = build_tables(ENTRIES, block_bytes=1000, snapshots=[])
    return table


def test_a_second_read_of_a_block_is_a_hit() -> None:
    """A block is fetched once while it fits, and hits and misses are counted."""
    table, cache = built(), kernels.BlockCache(1 << 20)
    view = kernels.ReadView([], [table.open(cache)], [])
    for _ in range(3):
        assert view.get(b"0100", 400) == b"v" * 90
    assert len(table.fetched) == 1
    assert (cache.misses, cache.hits) == (1, 2)
    assert 1000 < cache.used_bytes < 2000


def test_tables_share_the_budget() -> None:
    """Blocks of one table make room for those of another."""
    tables, cache = [built(), built()], kernels.BlockCache(10_000)
    views = [kernels.ReadView([], [table.open(cache)], []) for table in tables]
    for view in views:
        view.scan(None, None, 400).page(1000)
        assert 0 < cache.used_bytes <= 10_000


def test_a_block_in_use_outlives_many_that_are_read_once() -> None:
    """The clock passes over a block that was hit since its last turn."""
    table, cache = built(), kernels.BlockCache(12_000)
    view = kernels.ReadView([], [table.open(cache)], [])
    for i in range(0, 400, 10):
        view.get(b"0000", 400)
        view.get(b"%04d" % i, 400)
    assert table.fetched.count(0) == 1


def test_blocks_leave_with_their_table() -> None:
    """When a table dies its blocks' memory returns to the cache; the other table's blocks stay."""
    tables, cache = [built(), built()], kernels.BlockCache(1 << 20)
    views = [kernels.ReadView([], [table.open(cache)], []) for table in tables]
    for view in views:
        view.scan(None, None, 400).page(1000)
    both = cache.used_bytes
    views.pop(0)
    assert cache.used_bytes == both // 2
    assert len(views[0].scan(None, None, 400).page(1000)) == 400
    assert len(tables[1].fetched) == len(set(tables[1].fetched))


def test_a_block_beyond_the_whole_budget_is_read_but_not_kept() -> None:
    """A value larger than the cache is returned each time by a fetch."""
    [table] = build_tables([Entry(b"key", 1, PUT, b"v" * 5000)], snapshots=[])
    cache = kernels.BlockCache(1000)
    view = kernels.ReadView([], [table.open(cache)], [])
    for _ in range(2):
        assert view.get(b"key", 1) == b"v" * 5000
    assert len(table.fetched) == 2
    assert cache.used_bytes == 0
