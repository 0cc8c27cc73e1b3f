"""The merger keeps what readers may see, in whatever pieces its input comes and its output is taken."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicad import kernels
from replicad.errors import CorruptionError
from tests.support.oracle import merge
from tests.support.oracle.block import DELETE, PUT, Entry, encode_block, split_blocks
from tests.support.stores.table_strategies import block_sizes, histories, ordered
from tests.support.stores.tables import build_memtables, build_tables, drain


def new_merger(*, snapshots: list[int] | None = None, bottom: bool = False) -> kernels.Merger:
    return kernels.Merger(snapshots=snapshots or [], bottom=bottom, block_bytes=512, bits_per_key=10)


@given(st.data(), histories(), block_sizes, st.booleans())
def test_merge_keeps_what_the_model_keeps(
    data: st.DataObject, history: list[Entry], block_bytes: int, bottom: bool
) -> None:
    """Memtables and runs in any split give the model's entries, cut at user keys, with true summaries."""
    snapshots = data.draw(st.lists(st.integers(0, len(history) + 1), max_size=4))
    cut, second = sorted(data.draw(st.lists(st.integers(0, len(history)), min_size=2, max_size=2)))
    merger = kernels.Merger(snapshots=snapshots, bottom=bottom, block_bytes=block_bytes, bits_per_key=10)
    inputs = {}
    for part in (history[:cut], history[cut:second]):
        blocks = split_blocks(ordered(part), data.draw(block_sizes))
        inputs[merger.add_run()] = [encode_block(block) for block in blocks]
    for memtable in build_memtables(history[second:]):
        memtable.seal()
        merger.add_memtable(memtable)
    tables = drain(
        merger,
        inputs,
        table_bytes=data.draw(st.sampled_from([1, 300, 1 << 30])),
        output_bytes=data.draw(st.sampled_from([1, 500, 1 << 20])),
    )
    expected = merge.merge(history, snapshots, bottom=bottom)
    assert [entry for table in tables for entry in table.entries()] == expected
    assert all(a.summary.largest < b.summary.smallest for a, b in pairwise(tables))
    assert merger.entries_in == len(history)
    assert merger.entries_out == len(expected)
    assert merger.bytes_in == sum(len(entry.key) + len(entry.value) for entry in history)
    for table in tables:
        entries, summary = table.entries(), table.summary
        assert (summary.smallest, summary.largest) == (entries[0].key, entries[-1].key)
        assert summary.first_sequence == min(entry.sequence for entry in entries)
        assert summary.last_sequence == max(entry.sequence for entry in entries)
        assert summary.entries == len(entries)
        assert summary.deletions == sum(entry.kind == DELETE for entry in entries)
        assert summary.raw_key_bytes == sum(len(entry.key) for entry in entries)
        assert summary.raw_value_bytes == sum(len(entry.value) for entry in entries)


@given(histories(), st.data(), st.booleans())
def test_readers_see_the_same_after_a_merge(history: list[Entry], data: st.DataObject, bottom: bool) -> None:
    """At each snapshot and at the newest sequence number a merge changes nothing that a reader sees."""
    snapshots = data.draw(st.lists(st.integers(0, len(history)), max_size=3))
    tables = build_tables(history, snapshots=snapshots, bottom=bottom)
    cache = kernels.BlockCache(1 << 20)
    view = kernels.ReadView([], [], [[table.open(cache) for table in tables]])
    for sequence in [*snapshots, len(history)]:
        expected = merge.scan(history, None, None, sequence, reverse=False)
        assert view.scan(None, None, sequence).page(1000) == expected


def test_an_entry_that_is_there_twice_is_written_once() -> None:
    """Two inputs that hold the same version give it once."""
    entry = Entry(b"key", 7, PUT, b"value")
    merger = new_merger(snapshots=[7])
    inputs = {merger.add_run(): [encode_block([entry])] for _ in range(2)}
    [table] = drain(merger, inputs)
    assert table.entries() == [entry]


def test_blocks_may_be_fed_ahead() -> None:
    """A run that was fed whole and finished before the first run of the merger is never asked for."""
    entries = [Entry(b"%03d" % i, i + 1, PUT, b"v" * 50) for i in range(200)]
    merger = new_merger()
    number = merger.add_run()
    for block in split_blocks(entries, 300):
        merger.feed(number, encode_block(block))
    merger.finish(number)
    assert merger.run(1 << 30) == kernels.MERGE_TABLE_END
    read = [entry for block, _ in merger.take_blocks() for entry in kernels.decode_block(block)]
    assert read == entries


def test_readers_go_on_while_a_merge_runs() -> None:
    """What is merged in one thread is read right in another, and a merger at work refuses a second call."""
    entries = [Entry(b"%05d" % (i * 7919 % 20000), i + 1, PUT, b"v" * 50) for i in range(20000)]
    memtable = build_memtables(entries)[0]
    memtable.seal()
    view = kernels.ReadView([memtable], [], [])
    expected = [(entry.key, entry.value) for entry in ordered(entries)]
    merger = new_merger()
    merger.add_memtable(memtable)
    with ThreadPoolExecutor(1) as pool:
        status = pool.submit(merger.run, 1 << 30)
        while not status.done():
            assert view.scan(b"00100", b"00200", 20000).page(1000) == expected[100:200]
            with contextlib.suppress(AssertionError):
                merger.take_blocks()
        assert status.result() == kernels.MERGE_TABLE_END
    assert merger.entries_out == 20000


def test_nothing_in_is_nothing_out() -> None:
    """A merge of no entries, or of entries that all go, is done without a table."""
    assert new_merger().run() == kernels.MERGE_DONE
    assert build_tables([Entry(b"key", 1, DELETE, b"")], snapshots=[], bottom=True) == []


@pytest.mark.parametrize("second", [b"a", b"b"])
def test_entries_out_of_order_are_corruption(second: bytes) -> None:
    """A run whose next block begins before its last entry is refused, and the merger with it."""
    merger = new_merger()
    number = merger.add_run()
    merger.feed(number, encode_block([Entry(b"b", 1, PUT, b"")]))
    merger.feed(number, encode_block([Entry(second, 2, PUT, b"")]))
    with pytest.raises(CorruptionError):
        merger.run()
    with pytest.raises(AssertionError):
        merger.run()


def test_misuse_is_an_assertion() -> None:
    """Calls out of turn are refused without harm."""
    merger = new_merger()
    with pytest.raises(AssertionError):
        merger.add_memtable(kernels.Memtable())
    with pytest.raises(AssertionError):
        merger.feed(0, b"")
    with pytest.raises(AssertionError):
        merger.block_written(0, 1)
    with pytest.raises(AssertionError):
        merger.finish_table()
    number = merger.add_run()
    merger.feed(number, encode_block([Entry(b"a", 1, PUT, b"")]))
    merger.finish(number)
    with pytest.raises(AssertionError):
        merger.feed(number, b"")
    assert merger.run() == kernels.MERGE_TABLE_END
    with pytest.raises(AssertionError):
        merger.run()
    with pytest.raises(AssertionError):
        merger.add_run()
    with pytest.raises(AssertionError):
        merger.finish_table()
    [(block, _)] = merger.take_blocks()
    merger.block_written(0, len(block))
    assert merger.finish_table().entries == 1
    assert merger.run() == kernels.MERGE_DONE


def test_a_table_ends_at_the_next_boundary_when_asked() -> None:
    """After the boundary's key, before the next user key; without a boundary ahead it goes on."""
    entries = [Entry(b"%03d" % i, i + 1, PUT, b"v" * 50) for i in range(100)]
    merger = kernels.Merger(
        snapshots=[], bottom=False, boundaries=[b"070", b"0305", b"010"], block_bytes=100, bits_per_key=10
    )
    number = merger.add_run()
    for block in split_blocks(entries, 100):
        merger.feed(number, encode_block(block))
    merger.finish(number)
    merger.request_cut_at_boundary()  # No table is open: nothing happens.
    ends = []
    offset = 0
    while (status := merger.run(1)) != kernels.MERGE_DONE:
        for raw, _ in merger.take_blocks():
            merger.block_written(offset, len(raw))
            offset += len(raw)
        if status == kernels.MERGE_TABLE_END:
            ends.append(merger.finish_table().largest)
        elif merger.table_raw_bytes >= 400:
            merger.request_cut_at_boundary()
    assert ends == [b"010", b"030", b"070", b"099"]


def test_a_block_is_incompressible_when_all_it_holds_was() -> None:
    """One entry from a block that became smaller, or from a memtable, is reason to try again."""
    entries = [Entry(b"%02d" % i, 1, PUT, b"v" * 600) for i in range(8)]
    fresh = kernels.Memtable()
    fresh.seal()
    merger = new_merger()
    merger.add_memtable(fresh)
    known, tried = merger.add_run(), merger.add_run()
    for number, incompressible, some in ((known, True, entries[:4]), (tried, False, entries[4:])):
        for entry in some:
            merger.feed(number, encode_block([entry]), incompressible)
        merger.finish(number)
    assert merger.run(1 << 30) == kernels.MERGE_TABLE_END
    assert [flag for _, flag in merger.take_blocks()] == [True] * 4 + [False] * 4

    # Short entries of both kinds share a block.
    merger = new_merger()
    for incompressible, key in ((True, b"a"), (False, b"b")):
        number = merger.add_run()
        merger.feed(number, encode_block([Entry(key, 1, PUT, b"v")]), incompressible)
        merger.finish(number)
    merger.run()
    assert [flag for _, flag in merger.take_blocks()] == [False]
