"""The block cache: a budget of bytes over all tables, CLOCK eviction, blocks that leave with their table."""

from __future__ import annotations

import pytest

from replicad import kernels
from tests.support.oracle.block import PUT, Entry
from tests.support.stores.tables import BuiltTable, build_tables

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


def test_index_and_filter_count() -> None:
    """What a table keeps in memory leaves that much less to blocks, from its first use until it dies."""
    tables, cache = [built(), built()], kernels.BlockCache(10_000)
    opened = [table.open(cache) for table in tables]
    assert cache.charged_bytes == 0
    views = [kernels.ReadView([], [table], []) for table in opened]
    for view in views:
        view.scan(None, None, 400).page(1000)
        assert cache.charged_bytes == sum(table.memory_bytes for table in opened)
        assert 0 < cache.used_bytes <= 10_000 - cache.charged_bytes
    del opened, views, view
    assert (cache.charged_bytes, cache.used_bytes) == (0, 0)


def test_indexes_may_take_all_of_the_budget() -> None:
    """When they leave no room, reads go on without a cached block."""
    table, cache = built(), kernels.BlockCache(100)
    view = kernels.ReadView([], [table.open(cache)], [])
    assert len(view.scan(None, None, 400).page(1000)) == 400
    assert cache.charged_bytes > cache.capacity_bytes
    assert cache.used_bytes == 0


def test_a_scan_may_leave_the_cache_alone() -> None:
    """Without fill_cache it uses what is there and keeps nothing of what it reads."""
    table, cache = built(), kernels.BlockCache(1 << 20)
    view = kernels.ReadView([], [table.open(cache)], [])
    view.get(b"0100", 400)
    before = cache.used_bytes
    assert len(view.scan(None, None, 400, fill_cache=False).page(1000)) == 400
    assert cache.used_bytes == before
    assert len(table.fetched) == len(set(table.fetched))


@pytest.mark.parametrize("reverse", [False, True])
def test_a_long_scan_evicts_little(reverse: bool) -> None:
    """It fills what is free; what others read stays, but for the room of the scan's first MiB."""
    entries = [Entry(b"%06d" % i, i + 1, PUT, b"v" * 1000) for i in range(6000)]
    [table] = build_tables(entries, block_bytes=1 << 14, snapshots=[])
    cache = kernels.BlockCache(3 << 20)
    view = kernels.ReadView([], [table.open(cache)], [])
    hot = range(2500, 4000, 16)
    for i in hot:
        view.get(b"%06d" % i, 6000)
    assert len(view.scan(None, None, 6000, reverse).page(10_000, 1 << 30)) == 6000
    misses = cache.misses
    for i in hot:
        view.get(b"%06d" % i, 6000)
    assert cache.misses == misses
    assert cache.used_bytes > cache.capacity_bytes // 2


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
