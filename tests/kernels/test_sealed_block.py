"""Blocks as they lie in a file: what is not what was sealed is refused, whatever it says of itself."""

from __future__ import annotations

import contextlib
import random
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicad import kernels
from replicad.errors import CorruptionError, StoreError
from tests.support.oracle.block import PUT, Entry
from tests.support.stores.sealed_blocks import seal_block
from tests.support.stores.table_strategies import damaged
from tests.support.stores.tables import merger_of

TABLE_ID = b"t" * 16


def _checked(payload_and_type: bytes, offset: int) -> bytes:
    seed = kernels.crc32c(TABLE_ID + struct.pack("<Q", offset))
    return payload_and_type + struct.pack("<I", kernels.crc32c(payload_and_type, seed))


@given(st.data(), st.binary(min_size=1, max_size=300), st.booleans())
def test_damage_with_a_right_checksum_ends_well(data: st.DataObject, raw: bytes, compress: bool) -> None:
    """A payload that LZ4 did not write, of any type, for any raw length, gives that length or is refused."""
    sealed, handle = seal_block(raw * 5, TABLE_ID, 7, compress=compress)
    payload = data.draw(damaged(sealed[:-5]))
    kind = data.draw(st.sampled_from([sealed[-5], 0, 1, 2, 255]))
    raw_length = data.draw(st.sampled_from([handle.raw_length, 0, 1, len(payload), 2**31, 2**32 - 1]))
    made = _checked(payload + bytes([kind]), 7)
    try:
        opened, compressed = kernels.open_block(made, TABLE_ID, 7, len(payload), raw_length)
    except CorruptionError as error:
        assert error.offset == 7
    else:
        assert len(opened) == raw_length
        assert compressed == (kind == 1)


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("more", [-1, 1])
def test_a_block_of_another_length_is_refused(compress: bool, more: int) -> None:
    """Its handle says how long it becomes, to the byte."""
    sealed, handle = seal_block(b"a" * 500, TABLE_ID, 0, compress=compress)
    with pytest.raises(CorruptionError, match="length"):
        kernels.open_block(sealed, TABLE_ID, 0, handle.length, handle.raw_length + more)


@given(st.data(), st.binary(min_size=1, max_size=300), st.booleans())
def test_any_change_is_found(data: st.DataObject, raw: bytes, compress: bool) -> None:
    """One byte that is another, one that is missing, one too many."""
    sealed, handle = seal_block(raw, TABLE_ID, 0, compress=compress)
    at = data.draw(st.integers(0, len(sealed) - 1))
    flipped = bytearray(sealed)
    flipped[at] ^= data.draw(st.integers(1, 255))
    for wrong in (bytes(flipped), sealed[:at] + sealed[at + 1 :], sealed + b"\0"):
        with pytest.raises(CorruptionError):
            kernels.open_block(wrong, TABLE_ID, *handle)
    assert kernels.open_block(sealed, TABLE_ID, *handle) == (raw, compress)


def test_a_buffer_is_filled_and_never_passed() -> None:
    """Whatever its length is beside the blocks': what is taken is the table, byte for byte."""
    rng = random.Random(5)
    entries = [Entry(b"%06d" % i, 1, PUT, rng.randbytes(rng.choice([5, 500, 9000]))) for i in range(200)]
    expected = None
    for length in (1000, 4096, 1 << 16):
        merger = merger_of(entries, block_bytes=2000)
        assert merger.run(1 << 30) == kernels.MERGE_TABLE_END
        sealer, buffer, table = kernels.BlockSealer(TABLE_ID, True), bytearray(length), b""
        while merger.seal(sealer, buffer):
            table += buffer
        assert len(table) % length == 0
        rest = sealer.take()
        assert len(rest) < length
        table += rest
        assert len(table) == sealer.offset
        assert expected in (None, table)
        expected = table
        merger.finish_table()


def test_one_call_at_a_time() -> None:
    """Another thread that uses merger or sealer while they are at work is told so; nothing is lost by it."""
    entries = [Entry(b"%06d" % i, 1, PUT, b"v" * 100) for i in range(50_000)]
    merger = merger_of(entries, block_bytes=2000)
    sealer, buffer = kernels.BlockSealer(TABLE_ID, True), bytearray(1 << 16)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(merger.run, 1 << 30)
        while not running.done():
            with contextlib.suppress(AssertionError):
                merger.seal(sealer, buffer)
        sealing = pool.submit(merger.seal, sealer, buffer)
        while not sealing.done():
            with contextlib.suppress(StoreError):
                assert sealer.offset >= 0
            with contextlib.suppress(AssertionError, StoreError):
                merger.seal(sealer, bytearray(1 << 26))
    while merger.seal(sealer, buffer):
        pass
    assert merger.finish_table().entries == 50_000
