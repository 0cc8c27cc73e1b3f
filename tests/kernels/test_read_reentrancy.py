"""While a block is fetched, any Python code may run: reads stay right, and failures come out clean."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import pytest

from replicad import kernels
from replicad.errors import CorruptionError, StoreError
from tests.support.oracle.block import PUT, Entry
from tests.support.stores.tables import BuiltTable, all_pairs, build_tables

ENTRIES = [Entry(b"%04d" % i, i + 1, PUT, b"value-%04d" % i) for i in range(300)]
PAIRS = [(entry.key, entry.value) for entry in ENTRIES]
NEWEST = 2**64 - 1


class InterruptedTable:
    """A table whose fetch first calls `interrupt`."""

    def __init__(self, built: BuiltTable, cache: kernels.BlockCache) -> None:
        self.built = built
        self.interrupt: Callable[[], object] = lambda: None
        summary = built.summary
        self.table = kernels.Table(1, summary.smallest, summary.largest, cache, self.load, self.fetch)

    def load(self) -> kernels.TableContents:
        self.interrupt()
        return self.built.load()

    def fetch(self, offset: int, length: int, raw_length: int) -> bytes:
        self.interrupt()
        return self.built.fetch(offset, length, raw_length)


def interrupted(cache: kernels.BlockCache) -> InterruptedTable:
    [built] = build_tables(ENTRIES, block_bytes=256, snapshots=[])
    return InterruptedTable(built, cache)


@pytest.mark.parametrize("reverse", [False, True])
def test_memtables_grow_and_blocks_go_during_a_fetch(reverse: bool) -> None:
    """Inserts, evictions and other reads during a scan's fetch change nothing that the scan gives."""
    cache = kernels.BlockCache(1 << 20)
    source = interrupted(cache)
    memtable, active = kernels.Memtable(), kernels.MemtableSet()
    active.set(0, memtable)
    writer = kernels.FrameWriter(bytes(16), 1, 1000, 0)
    writer.add_put(b"0001", b"newer", 0, 0, 0)
    writer.add_delete(b"0002", 0, 0, 0)
    writer.commit(active)
    view = kernels.ReadView([memtable], [], [[source.table]])
    depth = 0

    def interrupt() -> None:
        nonlocal depth
        for i in range(30):
            writer.add_put(b"%04d" % (i * 7 % 300), b"later", 0, 0, 0)
        writer.commit(active)
        cache.capacity_bytes = 0
        cache.capacity_bytes = 1 << 20
        if depth == 0:
            depth += 1
            assert view.get(b"0150", 1002) == b"value-0150"
            assert len(all_pairs(view.scan(b"0100", b"0120", 1002))) == 20
            depth -= 1

    source.interrupt = interrupt
    expected = [(key, b"newer" if key == b"0001" else value) for key, value in PAIRS if key != b"0002"]
    assert all_pairs(view.scan(None, None, 1002, reverse)) == (expected[::-1] if reverse else expected)
    assert view.multi_get([key for key, _ in PAIRS], 1002)[3:] == [value for _, value in PAIRS][3:]


def test_the_last_python_reference_may_go_during_a_fetch() -> None:
    """A cursor keeps its view, and a view its tables, whatever the program drops meanwhile."""
    cache = kernels.BlockCache(0)
    kept = [interrupted(cache)]
    views = [kernels.ReadView([], [kept[0].table], [])]
    cursor = views[0].scan(None, None, NEWEST)

    def drop_all() -> None:
        views.clear()
        kept.clear()
        gc.collect()

    kept[0].interrupt = drop_all
    del cache
    assert all_pairs(cursor) == PAIRS


def test_a_multi_get_reads_the_keys_it_was_given() -> None:
    """Changing the list of keys during a fetch does not change what is looked up."""
    source = interrupted(kernels.BlockCache(0))
    view = kernels.ReadView([], [source.table], [])
    keys = [key for key, _ in PAIRS]
    source.interrupt = lambda: keys.clear()
    assert view.multi_get(keys, NEWEST) == [value for _, value in PAIRS]


def test_a_cursor_is_used_by_one_call_at_a_time() -> None:
    """A second page of a cursor that is at work is refused, and the first goes on."""
    source = interrupted(kernels.BlockCache(0))
    cursor = kernels.ReadView([], [source.table], []).scan(None, None, NEWEST)

    def interrupt() -> None:
        with pytest.raises(StoreError, match="another thread uses this iterator"):
            cursor.page(1)

    source.interrupt = interrupt
    assert cursor.page(1000) == PAIRS


def test_what_fetch_raises_comes_out() -> None:
    """The exception of a fetch leaves every kind of read; later reads work, but that cursor is done."""

    class Unreadable(Exception):
        pass

    cache = kernels.BlockCache(1 << 20)
    source = interrupted(cache)
    view = kernels.ReadView([], [source.table], [])
    cursor = view.scan(None, None, NEWEST)
    assert cursor.page(2) == PAIRS[:2]

    def fail() -> None:
        raise Unreadable

    source.interrupt = fail
    for read in (
        lambda: view.get(b"0200", NEWEST),
        lambda: view.multi_get([b"0001", b"0200"], NEWEST),
        lambda: view.contains(b"0200", NEWEST),
        lambda: view.scan(b"0100", None, NEWEST, reverse=True).page(1),
        lambda: cursor.page(1000),
    ):
        with pytest.raises(Unreadable):
            read()
    source.interrupt = lambda: None
    assert view.get(b"0200", NEWEST) == b"value-0200"
    with pytest.raises(StoreError, match="an earlier read of this iterator failed"):
        cursor.page(1)


@pytest.mark.parametrize("result", [b"", b"x" * 10, bytearray(3), None, "text"])
def test_a_block_of_another_length_is_refused(result: object) -> None:
    """A fetch that returns something else than raw_length bytes is corruption, or a type error."""
    [built] = build_tables(ENTRIES, snapshots=[])

    def fetch(offset: int, length: int, raw_length: int) -> bytes:
        return result  # type: ignore[return-value]

    cache = kernels.BlockCache(1 << 20)
    table = kernels.Table(1, b"0000", b"0299", cache, built.load, fetch)
    with pytest.raises((CorruptionError, TypeError)):
        kernels.ReadView([], [table], []).get(b"0100", NEWEST)
    assert cache.used_bytes == 0


def test_tables_in_a_cycle_are_collected() -> None:
    """A table whose fetch leads back to its view is collected, and its blocks leave the cache."""

    class Owner(InterruptedTable):
        view: kernels.ReadView
        cursor: kernels.Cursor

    cache = kernels.BlockCache(1 << 20)
    [built] = build_tables(ENTRIES, snapshots=[])
    owner = Owner(built, cache)
    owner.view = kernels.ReadView([], [owner.table], [])
    owner.cursor = owner.view.scan(None, None, NEWEST)
    assert owner.cursor.page(1000) == PAIRS
    assert cache.used_bytes > 0
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None
    assert cache.used_bytes == 0
