"""Messages to bytes and back: whole, in pieces, damaged, too long."""

from __future__ import annotations

import json
import random
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import msgpack
import pytest

from replicad.errors import ProtocolError
from replicad.replication.wire.framing import MessageDecoder, RawMessage, encode_prefix
from replicad.replication.wire.headers import FileEntry, NodeEntry
from replicad.replication.wire.messages import (
    Ack,
    Answer,
    Ask,
    Copy,
    Data,
    Decided,
    Failsafe,
    Fetch,
    Files,
    Follows,
    Grant,
    Handover,
    Heartbeat,
    Hello,
    Installed,
    Join,
    LogFrames,
    Message,
    Nodes,
    PositionClaim,
    Promise,
    Promised,
    Question,
    Ready,
    Refuse,
    StandingMessage,
    Verified,
    WantedFiles,
    WantMark,
    Welcome,
    decode,
    encode,
)
from replicad.types import Epoch, EpochRecord, HistoryHash, Position, Sequence
from tests.support.oracle.wire import WireMessage, decode_messages, encode_message

VECTORS = Path(__file__).parents[3] / "proto" / "vectors" / "wire.json"
AT = Position(Epoch(2), Sequence(1 << 40), HistoryHash((1 << 64) - 1))
RECORD = EpochRecord(Epoch(2), b"e" * 16, Position(Epoch(1), Sequence(9), HistoryHash(8)))

MESSAGES: list[Message] = [
    Hello((1,), b"n" * 16, b"p" * 16, None, (), "replicad/0.1.0"),
    Hello((1, 2), b"n" * 16, b"p" * 16, b"d" * 16, ("some-feature",), "replicad/0.1.0"),
    Welcome(1, b"m" * 16, b"q" * 16, b"d" * 16, (), "replicad/0.1.0", 1000, AT, (RECORD,)),
    Refuse("node-live", "another replica is connected", True),
    PositionClaim(None, 0, ()),
    PositionClaim(AT, 17, (RECORD,)),
    Decided("stream", "same-history", "the log goes on", AT, None),
    Decided("rewind", "beyond-fork", "beyond the fork", AT, RECORD.fork),
    LogFrames(5, 7, 7, b"raw frames"),
    Heartbeat(AT, 1_700_000_000_000_000),
    Ack(9, 8, 7),
    Copy(b"c" * 16, AT, 2, 300),
    Files(0, (FileEntry("000001.sst", 200, b"1" * 32), FileEntry("CURRENT", 100, b"2" * 32))),
    Fetch(1, 0),
    Data(1, 0, b"content"),
    Installed(b"c" * 16),
    Hello((1,), b"n" * 16, b"p" * 16, None, (), "replicad/0.1.0", "paris-1"),
    Fetch(1, 512, 256),
    Join(b"n" * 16, b"p" * 16, b"c" * 16),
    WantedFiles(b"c" * 16, 1, 200),
    Ask(9),
    WantMark(b"m" * 16, 330),
    Question(7, b"m" * 16, "split", 3, (b"a", None), 1 << 20, 4),
    Answer(7, None, "", b"ranges"),
    Answer(8, "no-mark", "it holds no snapshot", b""),
    Verified(1 << 40, 2, 77),
    Hello((1,), b"n" * 16, b"p" * 16, None, (), "replicad/0.1.0", "", "127.0.0.1:6391", "127.0.0.1:6390"),
    StandingMessage(
        b"n" * 16,
        b"p" * 16,
        "following",
        b"d" * 16,
        AT,
        (RECORD,),
        "127.0.0.1:6391",
        "127.0.0.1:6390",
        "127.0.0.1:6381",
        "127.0.0.1:6380",
        (b"m" * 16,),
    ),
    StandingMessage(b"n" * 16, b"p" * 16, "primary", None, None, (), "", "", "", "", ()),
    StandingMessage(b"n" * 16, b"p" * 16, "following", None, None, (), "", "", ":1", "", (), granted=2),
    Handover(b"m" * 16, b"d" * 16, AT, 10_000),
    Ready(AT),
    Grant(b"m" * 16, b"d" * 16, AT, 3),
    Heartbeat(AT, 1_700_000_000_000_000, sent_us=5_000_000),
    Heartbeat(AT, 1_700_000_000_000_000, echo_us=5_000_000, age_us=250_000),
    Heartbeat(AT, 1_700_000_000_000_000, echo_us=None, age_us=None),
    Nodes((NodeEntry(b"o" * 16, "127.0.0.1:6391", "127.0.0.1:6390", 600),), (b"g" * 16,)),
    StandingMessage(
        b"n" * 16, b"p" * 16, "primary", None, None, (), "", "", "", "", (), nodes=("127.0.0.1:6391",)
    ),
    Promise(b"n" * 16, b"d" * 16, 5),
    Promised(b"m" * 16, 5, AT),
    Failsafe(b"n" * 16, b"d" * 16, 5, 2500),
    Follows(b"m" * 16, 5),
]


def whole(message: Message) -> bytes:
    return b"".join(encode(message))


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.KIND.name)
def test_every_message_comes_back(message: Message) -> None:
    """What is encoded decodes to the same message."""
    (raw,) = MessageDecoder(1000).feed(whole(message))
    assert decode(raw) == message


def test_pieces_of_any_size_give_the_same_messages() -> None:
    """The decoder does not care where the bytes were cut, nor who put a large payload into its memory."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    data = b"".join(map(whole, MESSAGES))
    for _ in range(50):
        decoder, got, offset = MessageDecoder(1000, direct_bytes_min=rng.choice([1, 10, 1000])), [], 0
        while offset < len(data):
            size = rng.choice([1, 2, 15, 16, 17, 100, 1000])
            if (rest := decoder.rest()) is not None and rng.random() < 0.5:
                size = min(size, len(rest))
                rest[:size] = data[offset : offset + size]
                raws = decoder.filled(size)
            else:
                raws = decoder.feed(data[offset : offset + size])
            got += [decode(raw) for raw in raws]
            offset += size
        assert got == MESSAGES
        assert decoder.buffered_bytes == 0


@pytest.mark.parametrize("message", [MESSAGES[0], MESSAGES[8]], ids=["header", "payload"])
def test_any_flipped_bit_is_noticed(message: Message) -> None:
    """A message with one bit changed is an error, or waits for more bytes; it is never another message."""
    data = whole(message)
    for index in range(len(data)):
        for bit in range(8):
            broken = bytearray(data)
            broken[index] ^= 1 << bit
            try:
                assert MessageDecoder(1 << 20, direct_bytes_min=1 + bit % 2 * 1000).feed(bytes(broken)) == []
            except ProtocolError:
                pass


def test_a_payload_over_the_limit_is_refused_before_it_arrives() -> None:
    """The announced length alone is enough, and nothing is kept for it."""
    prefix = whole(LogFrames(1, 1, 1, b"x" * 101))[:16]
    decoder = MessageDecoder(100)
    with pytest.raises(ProtocolError, match="101 bytes"):
        decoder.feed(prefix)


def header_of(message: Message) -> dict[str, Any]:
    (raw,) = MessageDecoder(1000).feed(whole(message))
    header: dict[str, Any] = msgpack.unpackb(raw.header)
    return header


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.KIND.name)
def test_headers_are_checked_field_by_field(message: Message) -> None:
    """A missing or ill-typed field is an error; a field that this version does not know is ignored."""
    header = header_of(message)
    payload = getattr(message, "payload", b"")

    def decoded(header: dict[str, Any]) -> Message:
        return decode(RawMessage(message.KIND, msgpack.packb(header), payload))

    assert decoded({**header, "later": [1, 2]}) == message
    required = {field.name for field in fields(message) if field.default is MISSING}  # type: ignore[arg-type]
    for name in header:
        without = {key: value for key, value in header.items() if key != name}
        if name in required:
            with pytest.raises(ProtocolError, match=name):
                decoded(without)
        else:
            decoded(without)
        other: object = 1 if isinstance(header[name], bool) else True
        bads: list[object] = [-1, 1.5, other, b"x", {}, [[]], 1 << 63 << 1]
        for bad in bads:
            try:
                message_ = decoded({**header, name: bad})
            except (ProtocolError, OverflowError):
                continue
            raise AssertionError(f"{message_} with {name} = {bad!r}")


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\xc1",
        msgpack.packb([]),
        msgpack.packb({1: 2}),
        msgpack.packb({"a": [0] * 1025}),
        msgpack.packb({"a": "x" * 4097}),
        msgpack.packb({str(n): n for n in range(33)}),
        b"\x81\xa1a" + b"\x91" * 5000 + b"\x00",
        msgpack.packb({"a": msgpack.ExtType(1, b"x")}),
        msgpack.packb({}) + b"\x00",
    ],
)
def test_headers_are_decoded_under_limits(header: bytes) -> None:
    """Depth, lengths, keys and types outside the limits are a ProtocolError, whatever the message."""
    with pytest.raises(ProtocolError):
        decode(RawMessage(Ack.KIND, header, b""))


def test_unknown_kinds_and_stray_payloads_are_errors() -> None:
    """A kind that does not exist, or a payload where none belongs, ends the session."""
    with pytest.raises(ProtocolError, match="kind 99"):
        decode(RawMessage(99, b"\x80", b""))
    raw = MessageDecoder(0).feed(whole(Ack(1, 1, 1)))[0]
    with pytest.raises(ProtocolError, match="payload"):
        decode(raw._replace(payload=b"x"))


def test_messages_encode_to_the_golden_bytes_and_back() -> None:
    """The messages of proto/vectors/wire.json encode to the bytes written there, and come back from them."""
    vectors = json.loads(VECTORS.read_text())
    assert len(vectors) == len(MESSAGES)
    for message, vector in zip(MESSAGES, vectors, strict=True):
        assert message.KIND.name == vector["message"]
        assert whole(message).hex() == vector["bytes"]
        (raw,) = MessageDecoder(1000).feed(bytes.fromhex(vector["bytes"]))
        assert decode(raw) == message


def from_json(value: Any) -> Any:
    """Byte strings stand in the vectors as {"hex": ...}."""
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"])
    return [from_json(item) for item in value] if isinstance(value, list) else value


def test_the_plain_twin_agrees_with_the_vectors() -> None:
    """The slow reader and writer of the wire page find the same messages in the same bytes."""
    for vector in json.loads(VECTORS.read_text()):
        header = {name: from_json(value) for name, value in vector["header"].items()}
        message = WireMessage(vector["kind"], header, bytes.fromhex(vector.get("payload", "")))
        data = bytes.fromhex(vector["bytes"])
        assert decode_messages(data) == [message]
        assert encode_message(message) == data


def test_a_wrong_header_is_noticed_before_its_payload_comes() -> None:
    """Byte by byte the error comes with the header's last one, not with the end of an announced payload."""
    prefix = bytearray(encode_prefix(1, b"header", b"p" * 1000))
    prefix[0] ^= 1
    decoder = MessageDecoder(payload_bytes_max=1000)
    for at in range(len(prefix) - 1):
        assert decoder.feed(bytes(prefix[at : at + 1])) == []
    with pytest.raises(ProtocolError, match="header's checksum"):
        decoder.feed(bytes(prefix[-1:]))


def test_a_header_of_empty_arrays_does_not_unfold() -> None:
    """Each takes a byte of the 64 KiB that a header has, and sixty in memory: so many mean nothing."""
    thousand = b"\xdc\x03\xe8" + b"\x90" * 1000
    header = b"\x81\xa1a\xdc\x00\x3c" + thousand * 60
    with pytest.raises(ProtocolError, match="more arrays than its bytes could mean"):
        decode(RawMessage(Ack.KIND, header, b""))


@pytest.mark.parametrize(
    "later",
    [
        msgpack.packb([0] * 1025),
        msgpack.packb("x" * 4097),
        msgpack.packb(b"x" * 60_001),
        msgpack.packb(msgpack.ExtType(1, b"x")),
        msgpack.packb({str(number): number for number in range(33)}),
        b"\x91" * 1200 + b"\x00",
    ],
    ids=["array", "string", "bytes", "extension", "map", "depth"],
)
def test_limits_hold_for_what_no_version_knows(later: bytes) -> None:
    """A header that is right but for a field that would be ignored is refused when that is over a limit."""
    right = msgpack.packb({"received": 3, "applied": 2, "durable": 1})
    assert right[:1] == b"\x83"
    more = b"\x84" + right[1:] + msgpack.packb("later")
    assert decode(RawMessage(Ack.KIND, more + msgpack.packb([0] * 1000), b"")) == Ack(3, 2, 1)
    with pytest.raises(ProtocolError, match="within the limits"):
        decode(RawMessage(Ack.KIND, more + later, b""))
