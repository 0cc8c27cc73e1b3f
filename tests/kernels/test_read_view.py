"""Read views and cursors answer as a sorted dictionary would, wherever the versions are."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicad import kernels
from tests.support.oracle import merge
from tests.support.oracle.block import PUT, Entry
from tests.support.stores.log_strategies import keys
from tests.support.stores.table_strategies import Reading, readings, reads_at
from tests.support.stores.tables import all_pairs, build_memtables, build_tables


@given(readings(), reads_at, st.lists(keys, max_size=5))
def test_point_reads_see_the_newest_version_at_the_sequence(
    reading: Reading, sequence: int, others: list[bytes]
) -> None:
    """get, multi_get, contains and sequence_of agree with the model for present and absent keys."""
    versions = merge.visible(reading.history, sequence)
    present = {key: entry for key, entry in versions.items() if entry.kind == PUT}
    wanted = [entry.key for entry in reading.history] + others
    expected = [present[key].value if key in present else None for key in wanted]
    view = reading.view
    assert [view.get(key, sequence) for key in wanted] == expected
    assert view.multi_get(wanted, sequence) == expected
    assert [view.contains(key, sequence) for key in wanted] == [key in present for key in wanted]
    sequences = [present[key].sequence if key in present else 0 for key in wanted]
    assert [view.sequence_of(key, sequence) for key in wanted] == sequences


@given(readings(), reads_at, st.none() | keys, st.none() | keys, st.booleans(), st.integers(1, 9))
def test_scans_see_what_lies_between_their_bounds(
    reading: Reading, sequence: int, lower: bytes | None, upper: bytes | None, reverse: bool, pairs: int
) -> None:
    """A cursor gives the visible pairs of [lower, upper) in order or in reverse, in pages of any size."""
    expected = merge.scan(reading.history, lower, upper, sequence, reverse=reverse)
    cursor = reading.view.scan(lower, upper, sequence, reverse)
    assert all_pairs(cursor, pairs) == expected
    assert cursor.page(1) == []
    encoded = b""
    cursor = reading.view.scan(lower, upper, sequence, reverse)
    while page := cursor.encoded_page(pairs * 10):
        encoded += page
    assert encoded == b"".join(
        struct.pack("<II", len(key), len(value)) + key + value for key, value in expected
    )


@given(readings())
def test_the_cache_stays_within_its_budget(reading: Reading) -> None:
    """Cached blocks never take more than the capacity, and none is left when that becomes 0."""
    all_pairs(reading.view.scan(None, None, 2**64 - 1))
    assert reading.cache.used_bytes <= reading.cache.capacity_bytes
    reading.cache.capacity_bytes = 0
    assert reading.cache.used_bytes == 0


def test_a_page_ends_when_its_bytes_are_passed() -> None:
    """A page takes one pair at least, and none more once it holds bytes_max."""
    entries = [Entry(b"key%d" % i, i + 1, PUT, b"v" * 96) for i in range(5)]
    view = kernels.ReadView(build_memtables(entries), [], [])
    cursor = view.scan(None, None, 5)
    assert [len(cursor.page(10, size)) for size in (0, 200, 1 << 20, 1)] == [1, 2, 2, 0]


def test_a_cursor_does_not_see_what_is_written_after_its_sequence() -> None:
    """Entries that enter the memtable between pages stay out of a scan, in both directions."""
    memtable = kernels.Memtable()
    active = kernels.MemtableSet()
    active.set(0, memtable)
    writer = kernels.FrameWriter(bytes(16), 1, 0, 0)

    def put(key: bytes) -> None:
        writer.add_put(key, key, 0, 0, 0)
        writer.commit(active)

    for i in range(0, 200, 2):
        put(b"%03d" % i)
    view = kernels.ReadView([memtable], [], [])
    cursors = [view.scan(None, None, 100, reverse) for reverse in (False, True)]
    seen: list[list[bytes]] = [[], []]
    for i in range(100):
        put(b"%03d" % (2 * i + 1))
        put(b"%03d" % (2 * i))
        for keys_seen, cursor in zip(seen, cursors, strict=True):
            keys_seen += [key for key, _ in cursor.page(1)]
    expected = [b"%03d" % i for i in range(0, 200, 2)]
    assert seen == [expected, expected[::-1]]


def test_a_read_touches_only_tables_and_blocks_that_may_matter() -> None:
    """A get reads one block; a scan of a narrow range reads the blocks of the range and none behind it."""
    entries = [Entry(b"%04d" % i, i + 1, PUT, b"v" * 90) for i in range(1000)]
    tables = build_tables(entries, block_bytes=1000, table_bytes=20000, snapshots=[])
    assert len(tables) > 4
    cache = kernels.BlockCache(1 << 20)
    view = kernels.ReadView([], [], [[table.open(cache) for table in tables]])
    assert view.get(b"0500", 1000) == b"v" * 90
    assert sum(len(table.fetched) for table in tables) == 1
    assert len(all_pairs(view.scan(b"0100", b"0105", 1000))) == 5
    assert len(all_pairs(view.scan(b"0100", b"0105", 1000, reverse=True))) == 5
    assert sum(len(table.fetched) for table in tables) <= 4
    assert cache.misses == sum(len(table.fetched) for table in tables)


def test_arguments_of_other_types_are_refused() -> None:
    """Keys and bounds are bytes."""
    view = kernels.ReadView([], [], [])
    with pytest.raises(TypeError):
        view.get("text", 1)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        view.multi_get(["text"], 1)  # type: ignore[list-item]
    with pytest.raises(TypeError):
        view.scan("text", None, 1)  # type: ignore[arg-type]
