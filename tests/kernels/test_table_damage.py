"""Bytes that no builder wrote give CorruptionError or some answer, and never a crash."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicad import kernels
from replicad.errors import CorruptionError
from tests.support.oracle import varint
from tests.support.oracle.block import Entry, encode_block
from tests.support.oracle.index import BlockHandle, encode_index
from tests.support.stores.log_strategies import keys
from tests.support.stores.table_strategies import damaged, histories, ordered
from tests.support.stores.tables import build_memtables, build_tables

any_block = st.one_of(
    st.binary(max_size=100),
    # Bytes with a true restart count, to come further.
    st.binary(max_size=60).map(lambda entries: entries + struct.pack("<II", 0, 1)),
    histories().flatmap(lambda history: damaged(encode_block(ordered(history)))),
)


@given(any_block, keys, keys)
def test_reads_of_any_block_end_well(raw: bytes, key: bytes, other: bytes) -> None:
    """get and scans over any bytes as a block raise CorruptionError or give an answer."""
    index = encode_index([b"\xff" * 30], [BlockHandle(0, len(raw), len(raw))])
    table = kernels.Table(
        1,
        b"",
        b"\xff" * 30,
        kernels.BlockCache(1 << 20),
        lambda: kernels.TableContents(index, b""),
        lambda offset, length, raw_length: raw,
    )
    view = kernels.ReadView([], [table], [])
    for sequence in (0, 5, 2**64 - 1):
        with contextlib.suppress(CorruptionError):
            view.get(key, sequence)
        for lower, upper in ((None, None), (key, None), (None, key), (key, other)):
            for reverse in (False, True):
                with contextlib.suppress(CorruptionError):
                    view.scan(lower, upper, sequence, reverse).page(1000)


def _entry(shared: int, suffix: bytes) -> bytes:
    return varint.encode(shared) + varint.encode(len(suffix)) + b"\0" + struct.pack("<Q", 1 << 8 | 1) + suffix


@pytest.mark.parametrize(
    "entries",
    [
        _entry(0, b"k" * 60_000) + b"".join(_entry(60_000, b"%06d" % number) for number in range(50_000)),
        _entry(0, b"k" * 65_537),
        _entry(0, b"k" * 65_530) + _entry(65_530, b"1234567"),
    ],
    ids=["17 entries without a restart", "a long key", "a key that grows long"],
)
def test_a_block_takes_no_more_memory_than_a_writer_could_mean(entries: bytes) -> None:
    """Keys that share their beginning cannot make gigabytes of a small block, read backwards or listed."""
    raw = entries + struct.pack("<II", 0, 1)
    with pytest.raises(CorruptionError):
        kernels.decode_block(raw)
    index = encode_index([b"\xff" * 30], [BlockHandle(0, len(raw), len(raw))])
    contents = kernels.TableContents(index, b"")
    table = kernels.Table(1, b"", b"\xff" * 30, kernels.BlockCache(0), lambda: contents, lambda *_: raw)
    with pytest.raises(CorruptionError):
        kernels.ReadView([], [table], []).scan(None, None, 9, True).page(100)


@given(any_block, any_block, histories())
def test_merges_of_any_blocks_end_well(first: bytes, second: bytes, history: list[Entry]) -> None:
    """A merge of any bytes raises CorruptionError or writes tables whose blocks are whole."""
    merger = kernels.Merger(snapshots=[3], bottom=False, block_bytes=100, bits_per_key=10)
    number = merger.add_run()
    for raw in (first, second):
        merger.feed(number, raw)
    merger.finish(number)
    for memtable in build_memtables(history):
        memtable.seal()
        merger.add_memtable(memtable)
    with contextlib.suppress(CorruptionError):
        merger.run(1 << 20)
        for block, _ in merger.take_blocks():
            kernels.decode_block(block)


@given(st.data(), histories())
def test_tables_with_damaged_index_or_filter_end_well(data: st.DataObject, history: list[Entry]) -> None:
    """A table opens on a damaged index or filter, or refuses it; opened, it reads without a crash."""
    [built] = build_tables(history, block_bytes=64)
    summary = built.summary
    index, bloom = summary.index, summary.filter
    if data.draw(st.booleans()):
        index = data.draw(damaged(index))
    else:
        bloom = data.draw(damaged(bloom))

    def fetch(offset: int, length: int, raw_length: int) -> bytes:
        return built.blocks.get(offset, b"")

    with contextlib.suppress(CorruptionError):
        contents = kernels.TableContents(index, bloom)
        cache = kernels.BlockCache(1 << 20)
        table = kernels.Table(1, summary.smallest, summary.largest, cache, lambda: contents, fetch)
        view = kernels.ReadView([], [table], [])
        for entry in history:
            with contextlib.suppress(CorruptionError):
                view.get(entry.key, 2**64 - 1)
        for reverse in (False, True):
            with contextlib.suppress(CorruptionError):
                view.scan(history[0].key, None, 2**64 - 1, reverse).page(1000)
