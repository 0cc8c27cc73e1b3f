"""CRC-32C and XXH64 of the kernels are those of the published algorithms, at every length and alignment."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicad import kernels
from tests.support.oracle import checksums

SEED = 20


def test_both_checksums_give_the_published_values() -> None:
    """Both give the values that their specifications print."""
    assert kernels.crc32c(b"123456789") == 0xE3069283
    assert kernels.crc32c(bytes(32)) == 0x8A9136AA
    assert kernels.xxh64(b"") == 0xEF46DB3751D8E999
    assert kernels.xxh64(b"abc") == 0x44BC2CF5AD770999


@given(st.binary(max_size=200), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1))
def test_agrees_with_the_oracle(data: bytes, value: int, seed: int) -> None:
    """Kernel and oracle agree from any starting value and seed."""
    assert kernels.crc32c(data, value) == checksums.crc32c(data, value)
    assert kernels.xxh64(data, seed) == checksums.xxh64(data, seed)


@pytest.mark.parametrize("size", [1023, 1024, 3071, 3072, 3073, 3080, 6144, 10_001, 70_000])
def test_long_data_agrees_with_the_oracle(size: int) -> None:
    """The interleaved lanes of long data join to the same checksum, wherever the data starts in memory."""
    data = random.Random(SEED).randbytes(size)
    for start in (0, 1, 3):
        view = memoryview(data)[start:]
        assert kernels.crc32c(view, 5) == checksums.crc32c(bytes(view), 5)
        assert kernels.xxh64(view, 5) == checksums.xxh64(bytes(view), 5)


@given(st.binary(max_size=5000), st.data())
def test_extending_is_the_checksum_of_the_whole(data: bytes, draw: st.DataObject) -> None:
    """crc32c(b, crc32c(a)) == crc32c(a + b)."""
    at = draw.draw(st.integers(0, len(data)))
    assert kernels.crc32c(data[at:], kernels.crc32c(data[:at])) == kernels.crc32c(data)


def test_accepts_any_contiguous_bytes() -> None:
    """bytes, bytearray and memoryview are the same to a kernel; anything else is a TypeError."""
    data = b"some bytes"
    assert kernels.crc32c(data) == kernels.crc32c(bytearray(data)) == kernels.crc32c(memoryview(data))
    with pytest.raises(TypeError):
        kernels.crc32c("text")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        kernels.crc32c(memoryview(data)[::2])
