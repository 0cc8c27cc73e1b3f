"""What links write and carry: golden bytes, and bytes of a peer that lies."""

from __future__ import annotations

import json
import random
from pathlib import Path

import msgpack
import pytest

from replicad.errors import CorruptionError, ProtocolError
from replicad.replication.links.annotation import Provenance, decode_provenance
from replicad.replication.links.codec import (
    decode_batches,
    decode_origins,
    decode_seed,
    encode_batches,
    encode_origins,
    encode_seed,
)
from replicad.replication.links.merge import UNSTAMPED, LinkBatch, LinkOperation
from replicad.replication.links.records import (
    KeyStamp,
    OriginRecord,
    decode_horizon,
    decode_key_stamp,
    decode_origin,
    encode_horizon,
    split_stamp_key,
    stamp_key,
)
from replicad.replication.links.stamps import Stamp

VECTORS = json.loads((Path(__file__).resolve().parents[3] / "proto" / "vectors" / "link.json").read_text())
A, B = bytes(range(16)), b"\xff" * 16
PROVENANCE = Provenance(
    origin=A, peer=B, epoch=3, fork=40, first=41, last=45, frontier_us=1_700_000_000_000_000, hops=2
)
BATCH = LinkBatch(
    provenance=PROVENANCE,
    operations=(
        LinkOperation("default", b"k", b"v", Stamp(7, A)),
        LinkOperation("sessions", b"", None, UNSTAMPED),
    ),
    annotations=(b"app",),
    members=(B,),
    seen_us=7,
)


def written() -> dict[str, str]:
    """What the program makes of the values above, in hexadecimal."""
    return {
        "annotation": PROVENANCE.encode().hex(),
        "key_stamp_put": KeyStamp(Stamp(7, A), False).encode().hex(),
        "key_stamp_deleted": KeyStamp(Stamp(7, A), True).encode().hex(),
        "stamp_key": stamp_key(3, b"key").hex(),
        "origin": OriginRecord(3, 45, 9, 7).encode().hex(),
        "horizon": encode_horizon(9).hex(),
        "batches": encode_batches([BATCH]).hex(),
        "seed": encode_seed("default", b"k", BATCH.operations[:1]).hex(),
        "origins": encode_origins({A: OriginRecord(3, 45, 9, 7)}).hex(),
    }


def test_the_bytes_are_the_golden_ones() -> None:
    """proto/vectors/link.json: on disk and on the wire they never change."""
    assert written() == VECTORS


def test_what_is_written_is_read() -> None:
    assert decode_provenance(PROVENANCE.encode()) == PROVENANCE
    assert decode_key_stamp(KeyStamp(Stamp(7, A), True).encode()) == KeyStamp(Stamp(7, A), True)
    assert split_stamp_key(stamp_key(3, b"key")) == (3, b"key")
    assert decode_origin(OriginRecord(3, 45, 9, 7).encode()) == OriginRecord(3, 45, 9, 7)
    assert (decode_horizon(encode_horizon(9)), decode_horizon(None)) == (9, 0)
    assert decode_batches(encode_batches([BATCH])) == [BATCH]
    assert decode_seed(encode_seed("default", None, BATCH.operations[:1])) == (
        "default",
        None,
        list(BATCH.operations[:1]),
    )
    with pytest.raises(ProtocolError, match="keys of another family"):
        decode_seed(encode_seed("default", None, BATCH.operations))
    assert decode_origins(encode_origins({A: OriginRecord(3, 45, 9, 7)})) == {A: OriginRecord(3, 45, 9, 7)}


def test_records_of_another_length_are_damage() -> None:
    for decode in (decode_origin, decode_key_stamp, decode_horizon):
        with pytest.raises(CorruptionError):
            decode(b"short")
    with pytest.raises(CorruptionError):
        decode_provenance(PROVENANCE.encode() + b"x")


def test_a_peer_that_lies_is_told_so() -> None:
    """Any bytes are read, or refused with an error of the protocol; families of ours are refused."""
    for number in range(300):
        draw = random.Random(number)
        data = bytearray(encode_batches([BATCH]))
        for _ in range(draw.randint(1, 4)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        for decode in (decode_batches, decode_seed, decode_origins):
            try:
                decode(bytes(data))
            except ProtocolError:
                pass
    far = OriginRecord(1, 1 << 63, 9)
    with pytest.raises(ProtocolError, match="that there cannot be"):
        decode_origins(encode_origins({A: far}))
    with pytest.raises(ProtocolError, match="1024 are the most"):
        decode_origins(encode_origins({bytes([i // 256, i % 256]) * 8: OriginRecord() for i in range(1025)}))
    ours = [["replicad.stamps", b"k", b"v"]]
    with pytest.raises(ProtocolError, match="in the place of a family"):
        decode_seed(msgpack.packb(["default", None, ours]))
    with pytest.raises(ProtocolError, match="linked key"):
        decode_seed(msgpack.packb(["default", None, [["default", b"k" * 60_001, b"v"]]]))
