"""The index block: same bytes as the plain twin's, and same verdict on damage."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicad import kernels
from replicad.errors import CorruptionError
from tests.support.oracle.block import Entry, split_blocks
from tests.support.oracle.index import BlockHandle, decode_index, encode_index, separators
from tests.support.oracle.varint import Malformed
from tests.support.stores.table_strategies import block_sizes, damaged, histories, ordered
from tests.support.stores.tables import build_tables


def same_verdict(raw: bytes) -> None:
    try:
        expected = decode_index(raw)
    except Malformed:
        with pytest.raises(CorruptionError):
            kernels.decode_index(raw)
    else:
        assert kernels.decode_index(raw) == expected


@given(histories(), block_sizes)
def test_index_is_byte_for_byte_that_of_the_twin(history: list[Entry], block_bytes: int) -> None:
    """A table's index holds the separators of the twin and says where the blocks were written."""
    [table] = build_tables(history, block_bytes=block_bytes)
    handles = [BlockHandle(offset, len(raw), len(raw)) for offset, raw in table.blocks.items()]
    keys = separators(split_blocks(ordered(history), block_bytes))
    assert table.summary.index == encode_index(keys, handles)
    expected = [(key, *handle) for key, handle in zip(keys, handles, strict=True)]
    assert kernels.decode_index(table.summary.index) == expected
    assert table.open(kernels.BlockCache(0)).block_handles == handles


@given(histories(), st.data())
def test_damage_is_judged_alike(history: list[Entry], data: st.DataObject) -> None:
    """Of a damaged index, kernel and twin accept the same and read the same from it."""
    [table] = build_tables(history, block_bytes=64)
    same_verdict(data.draw(damaged(table.summary.index)))


@given(st.binary(max_size=60))
def test_any_bytes_are_judged_alike(raw: bytes) -> None:
    """Of any bytes, kernel and twin accept the same and read the same from them."""
    same_verdict(raw)
