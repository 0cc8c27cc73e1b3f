"""Messages of the replication protocol (`proto/wire.md`), read slowly."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgpack

from tests.support.oracle.checksums import crc32c


class WireMessage(NamedTuple):
    kind: int
    header: dict[str, Any]
    payload: bytes


def decode_messages(data: bytes) -> list[WireMessage]:
    """Whole messages; ValueError for anything else."""
    found = []
    while data:
        if len(data) < 16:
            raise ValueError("a message is cut short")
        header_length = int.from_bytes(data[10:12], "little")
        payload_length = int.from_bytes(data[12:16], "little")
        header = data[16 : 16 + header_length]
        payload = data[16 + header_length : 16 + header_length + payload_length]
        if int.from_bytes(data[0:4], "little") != crc32c(data[8:16] + header):
            raise ValueError("the header's CRC is wrong")
        if int.from_bytes(data[4:8], "little") != crc32c(payload):
            raise ValueError("the payload's CRC is wrong")
        if data[9]:
            raise ValueError("byte 9 is not zero")
        found.append(WireMessage(data[8], msgpack.unpackb(header), payload))
        data = data[16 + header_length + payload_length :]
    return found


def encode_message(message: WireMessage) -> bytes:
    header: bytes = msgpack.packb(message.header)
    rest = (
        bytes([message.kind, 0])
        + len(header).to_bytes(2, "little")
        + len(message.payload).to_bytes(4, "little")
    )
    crc = crc32c(rest + header).to_bytes(4, "little")
    return crc + crc32c(message.payload).to_bytes(4, "little") + rest + header + message.payload
