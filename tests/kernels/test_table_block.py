"""Data blocks: the kernel and the plain twin write the same bytes and read the same entries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicad import kernels
from replicad.errors import CorruptionError
from tests.support.oracle.block import Entry, decode_block, encode_block, split_blocks
from tests.support.oracle.varint import Malformed
from tests.support.stores.table_strategies import block_sizes, damaged, histories, ordered
from tests.support.stores.tables import build_tables


def same_verdict(raw: bytes) -> None:
    try:
        expected = decode_block(raw)
    except Malformed:
        with pytest.raises(CorruptionError):
            kernels.decode_block(raw)
    else:
        assert kernels.decode_block(raw) == expected


@given(histories(), block_sizes)
def test_blocks_are_byte_for_byte_those_of_the_twin(history: list[Entry], block_bytes: int) -> None:
    """The blocks of a table are the encoded parts into which the twin deals out its entries."""
    entries = ordered(history)
    [table] = build_tables(history, block_bytes=block_bytes)
    assert list(table.blocks.values()) == [encode_block(part) for part in split_blocks(entries, block_bytes)]
    assert table.entries() == entries


@given(histories(), st.data())
def test_damage_is_judged_alike(history: list[Entry], data: st.DataObject) -> None:
    """Of a damaged block, kernel and twin accept the same and read the same from it."""
    same_verdict(data.draw(damaged(encode_block(ordered(history)))))


@given(st.binary(max_size=80))
def test_any_bytes_are_judged_alike(raw: bytes) -> None:
    """Of any bytes, kernel and twin accept the same and read the same from them."""
    same_verdict(raw)


def test_long_lengths_take_more_bytes() -> None:
    """Keys, shared parts and values of 128 bytes and more are read back."""
    stem = b"k" * 300
    entries = [Entry(stem + bytes([i]), i + 1, 1, b"v" * 40000) for i in range(20)]
    [table] = build_tables(entries, block_bytes=1 << 20)
    assert table.entries() == entries
    assert list(table.blocks.values()) == [encode_block(entries)]
