"""The bloom filter: same bits as the plain twin's, no false negatives, few false positives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicad import kernels
from replicad.errors import CorruptionError
from tests.support.oracle.block import Entry
from tests.support.oracle.bloom import build_filter, may_contain, parse_filter
from tests.support.oracle.varint import Malformed
from tests.support.stores.table_strategies import damaged, histories
from tests.support.stores.tables import build_tables


@given(histories(), st.integers(0, 40), st.binary(max_size=20))
def test_filter_is_byte_for_byte_that_of_the_twin(
    history: list[Entry], bits_per_key: int, other: bytes
) -> None:
    """A table's filter holds each of its user keys, and answers as the twin's for any other."""
    [table] = build_tables(history, bits_per_key=bits_per_key)
    raw = table.summary.filter
    keys = {entry.key for entry in history}
    assert raw == build_filter(keys, bits_per_key)
    assert all(kernels.filter_may_contain(raw, key) for key in keys)
    assert kernels.filter_may_contain(raw, other) == may_contain(raw, other)


@given(st.one_of(st.binary(min_size=1, max_size=140), damaged(build_filter([b"a", b"b"], 10))))
def test_damage_is_judged_alike(raw: bytes) -> None:
    """Of any bytes, kernel and twin take the same for a filter, and get the same answer from it."""
    try:
        if raw:
            parse_filter(raw)
    except Malformed:
        with pytest.raises(CorruptionError):
            kernels.filter_may_contain(raw, b"a")
    else:
        assert kernels.filter_may_contain(raw, b"a") == may_contain(raw, b"a")


def test_one_in_a_hundred_absent_keys_passes_ten_bits() -> None:
    """With 10 bits a key about one absent key in a hundred passes."""
    entries = [Entry(b"present:%06d" % i, i + 1, 1, b"") for i in range(5000)]
    [table] = build_tables(entries, block_bytes=4096, snapshots=[])
    passed = sum(kernels.filter_may_contain(table.summary.filter, b"absent:%06d" % i) for i in range(5000))
    assert 0.002 < passed / 5000 < 0.02
