"""Hypothesis strategies for histories of versions, and for stores that hold them in memtables and tables."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from replicad import kernels
from tests.support.oracle.block import DELETE, PUT, Entry, entry_order
from tests.support.stores.log_strategies import keys, values
from tests.support.stores.tables import build_memtables, build_tables

block_sizes = st.sampled_from([1, 64, 300, 4096])
reads_at = st.one_of(st.integers(0, 60), st.just(2**64 - 1))


@st.composite
def histories(draw: st.DrawFn, min_size: int = 1, max_size: int = 60) -> list[Entry]:
    """Versions in the order of their sequence numbers, 1 and on, over few enough keys that they meet."""
    some_keys = draw(st.lists(keys, min_size=1, max_size=12))
    written = st.tuples(st.sampled_from(some_keys), st.one_of(values, values, st.none()))
    writes = draw(st.lists(written, min_size=min_size, max_size=max_size))
    return [
        Entry(key, sequence, DELETE, b"") if value is None else Entry(key, sequence, PUT, value)
        for sequence, (key, value) in enumerate(writes, 1)
    ]


def ordered(entries: list[Entry]) -> list[Entry]:
    """As a table holds them."""
    return sorted(entries, key=entry_order)


@dataclass
class Reading:
    """A read view and the history that it shows."""

    history: list[Entry]
    view: kernels.ReadView
    cache: kernels.BlockCache


@st.composite
def readings(draw: st.DrawFn) -> Reading:
    """A history, its oldest part in levels 2 and 1, then tables of level 0, its newest part in memtables."""
    history = draw(histories())
    cuts = sorted(draw(st.lists(st.integers(0, len(history)), min_size=4, max_size=4)))
    level2, level1, *level0, newest = (
        history[a:b] for a, b in zip([0, *cuts], [*cuts, len(history)], strict=True)
    )
    cache = kernels.BlockCache(draw(st.sampled_from([0, 700, 1 << 20])))
    block_bytes = draw(block_sizes)
    table_bytes = draw(st.sampled_from([1, 200, 1 << 30]))

    def open_tables(part: list[Entry], cut_bytes: int = 1 << 30) -> list[kernels.Table]:
        tables = build_tables(part, block_bytes=block_bytes, table_bytes=cut_bytes)
        return [table.open(cache) for table in tables]

    view = kernels.ReadView(
        build_memtables(newest, draw(st.lists(st.integers(1, len(history)), max_size=2))),
        [table for part in reversed(level0) for table in open_tables(part)],
        [open_tables(part, table_bytes) for part in (level1, level2)],
    )
    return Reading(history, view, cache)


@st.composite
def damaged(draw: st.DrawFn, raw: bytes) -> bytes:
    """`raw` with some bytes replaced, inserted, removed or cut off."""
    data = bytearray(raw)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        change = draw(st.integers(0, 3))
        if change == 0:
            data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
        elif change == 1:
            data[at:at] = draw(st.binary(min_size=1, max_size=8))
        elif change == 2:
            del data[at : at + draw(st.integers(1, 8))]
        else:
            del data[at:]
    return bytes(data)
