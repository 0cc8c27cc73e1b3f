"""Payloads of answers: back as they were, and nothing else is taken."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Any

import pytest

from replicad.errors import ProtocolError
from replicad.replication.verify import answer_codec as codec
from replicad.store.ranges import Entries, Entry, RangeDigest

DIGEST = bytes(range(32))
FAMILIES = {0: "default", 7: "orders", 9: "größe"}
RANGES = [
    RangeDigest(b"a", b"b", 5, DIGEST),
    RangeDigest(b"b", b"b\0", 0, DIGEST),
    RangeDigest(b"b\0", None, 1 << 40, DIGEST),
]
ENTRIES = Entries((Entry(b"", DIGEST), Entry(b"k" * 65536, DIGEST)), False)


def test_answers_come_back() -> None:
    """What one side encodes the other decodes."""
    assert codec.decode_families(codec.encode_families(FAMILIES)) == FAMILIES
    assert codec.decode_ranges(codec.encode_ranges(RANGES), b"a") == RANGES
    assert codec.decode_entries(codec.encode_entries(ENTRIES)) == ENTRIES
    assert codec.decode_entries(b"\1") == Entries((), True)
    assert codec.encode_ranges(RANGES[:1]) == b"\1\0\0\0b" + struct.pack("<Q", 5) + DIGEST


@pytest.mark.parametrize(
    ("decode", "payload"),
    [
        (codec.decode_families, codec.encode_families({2: "b"}) + codec.encode_families({1: "a"})),
        (codec.decode_families, struct.pack("<II", 1, 256) + b"n" * 256),
        (lambda payload: codec.decode_ranges(payload, b"c"), codec.encode_ranges(RANGES[:1])),
        (lambda payload: codec.decode_ranges(payload, b""), codec.encode_ranges(RANGES[2:] + RANGES[:1])),
        (
            lambda payload: codec.decode_ranges(payload, b""),
            struct.pack("<I", 1025) + b"e" * 1025 + bytes(40),
        ),
        (codec.decode_entries, b""),
        (codec.decode_entries, b"\0"),
        (codec.decode_entries, b"\2"),
        (codec.decode_entries, codec.encode_entries(Entries(ENTRIES.entries[::-1], True))),
    ],
)
def test_nonsense_is_refused(decode: Callable[[bytes], Any], payload: bytes) -> None:
    """What is out of order, too long or neither is an error."""
    with pytest.raises(ProtocolError):
        decode(payload)


def test_damage_never_does_more_than_that() -> None:
    """Cut and changed payloads decode to something or are a ProtocolError."""
    numbers = random.Random(3)
    payloads = [codec.encode_families(FAMILIES), codec.encode_ranges(RANGES), codec.encode_entries(ENTRIES)]
    for _ in range(3000):
        data = bytearray(numbers.choice(payloads)[: numbers.randrange(400)])
        for _ in range(numbers.randrange(3)):
            if data:
                data[numbers.randrange(len(data))] = numbers.randrange(256)
        for decode in (codec.decode_families, codec.decode_entries, lambda d: codec.decode_ranges(d, b"")):
            try:
                decode(bytes(data))
            except ProtocolError:
                pass
