"""Batch bodies: the kernel writes and reads what the oracle does, byte for byte, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicad import kernels, options
from replicad.errors import CorruptionError, InvalidArgument
from tests.support.oracle import batch as oracle
from tests.support.oracle.varint import Malformed
from tests.support.stores import log_strategies as logs


@given(logs.bodies)
def test_encodes_as_the_oracle(body: list[oracle.Record]) -> None:
    """The same calls make the same bytes, and the counts are those of the records."""
    batch = logs.fill(kernels.Batch(), body)
    assert batch.data == oracle.encode_body(body)
    assert batch.size == len(batch.data)
    assert batch.count == oracle.count_operations(body)
    assert batch.annotations == len(body) - batch.count
    assert batch.has_control == any(record[0] >= oracle.CREATE_FAMILY for record in body)


@given(logs.bodies)
def test_decodes_what_was_put(body: list[oracle.Record]) -> None:
    """Decoding returns the records in the order put."""
    data = oracle.encode_body(body)
    assert kernels.decode_batch(data) == body == oracle.decode_body(data)


@given(logs.full_bodies.map(oracle.encode_body).flatmap(logs.damaged) | st.binary(max_size=60))
def test_refuses_what_the_oracle_refuses(data: bytes) -> None:
    """Of damaged and of arbitrary bytes, the kernel accepts what the oracle does, and reads the same."""
    try:
        expected = oracle.decode_body(data)
    except Malformed:
        with pytest.raises(CorruptionError) as caught:
            kernels.decode_batch(data)
        assert 0 <= (caught.value.offset or 0) <= len(data)
        with pytest.raises(CorruptionError):
            kernels.Batch.from_data(data)
    else:
        assert kernels.decode_batch(data) == expected
        assert kernels.Batch.from_data(data).data == data


@pytest.mark.parametrize(
    ("data", "offset"),
    [
        (b"\x00", 0),
        (b"\x08", 0),
        (b"\x01", 1),
        (b"\x01\x80\x00\x00\x00", 1),
        (b"\x01\xff\xff\xff\xff\x1f\x00\x00", 1),
        (b"\x02\x00\x81\x80\x04" + b"k" * 65537, 2),
        (b"\x05\x01\x02\x00\x03ab", 5),
        (b"\x06\x27" + bytes(39), 0),
        (b"\x06\x29" + bytes(41), 1),
    ],
    ids=[
        "tag 0", "tag 8", "no family", "needless varint byte", "family of 33 bits", "key over its limit",
        "key past the end", "short epoch record", "long epoch record",
    ],
)  # fmt: skip
def test_malformed_bodies_name_their_offset(data: bytes, offset: int) -> None:
    """Each way of being malformed is an error at the offset of what is wrong."""
    with pytest.raises(CorruptionError) as caught:
        kernels.decode_batch(data)
    assert caught.value.offset == offset


@pytest.mark.parametrize(
    "refused",
    [
        lambda batch: batch.put(bytes(options.KEY_BYTES_MAX + 1), b""),
        lambda batch: batch.delete(bytes(options.KEY_BYTES_MAX + 1)),
        lambda batch: batch.put(b"k", bytes(options.VALUE_BYTES_MAX + 1)),
        lambda batch: batch.put_log_data(bytes(options.ANNOTATION_BYTES_MAX + 1)),
        lambda batch: batch.add_epoch(bytes(39)),
        lambda batch: batch.add_mark(bytes(options.ANNOTATION_BYTES_MAX + 1)),
        lambda batch: batch.append_data(b"\x01"),
    ],
)
def test_refused_calls_change_nothing(refused: Callable[[kernels.Batch], None]) -> None:
    """A value over its limit, or a malformed body, is refused before the batch is touched."""
    batch = kernels.Batch()
    batch.put(b"before", b"1")
    before = (batch.data, batch.count, batch.annotations)
    with pytest.raises((InvalidArgument, CorruptionError)):
        refused(batch)
    assert (batch.data, batch.count, batch.annotations) == before


def test_the_limits_themselves_are_allowed() -> None:
    """The longest key, value and annotation pass, and the body stops at its own limit."""
    batch = kernels.Batch()
    batch.put(bytes(options.KEY_BYTES_MAX), bytes(options.VALUE_BYTES_MAX))
    batch.put_log_data(bytes(options.ANNOTATION_BYTES_MAX))
    kernels.Batch.from_data(batch.data)
    with pytest.raises(InvalidArgument, match=str(options.BATCH_BYTES_MAX)):
        batch.put(b"one more", bytes(options.VALUE_BYTES_MAX))
    assert batch.count == 1


@given(logs.bodies, logs.bodies)
def test_appending_bodies_and_clearing(first: list[oracle.Record], second: list[oracle.Record]) -> None:
    """Appending a body adds its records and counts; a cleared batch is as new."""
    batch = logs.fill(kernels.Batch(), first)
    batch.append_data(oracle.encode_body(second))
    assert batch.data == oracle.encode_body(first + second)
    assert batch.count == oracle.count_operations(first + second)
    batch.clear()
    assert (batch.data, batch.size, batch.count, batch.annotations) == (b"", 0, 0, 0)
    assert not batch.has_control


def test_can_be_subclassed() -> None:
    """A Python class may stand on Batch."""

    class Named(kernels.Batch):
        name = "mine"

    batch = Named()
    batch.put(b"k", b"v")
    assert (batch.name, batch.count) == ("mine", 1)
