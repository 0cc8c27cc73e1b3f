"""The outermost layer of the wire (proto/wire.md): bytes to messages and back, without any I/O.

     0  u32  checksum of bytes 8..16 and of the header
     4  u32  checksum of the payload
     8  u8   kind
     9  u8   zero
    10  u16  header length
    12  u32  payload length
    16  header (a msgpack map), then payload (raw bytes)

Lengths are checked against the limits before anything is kept, and memory grows with what arrived, not with
what was announced. A decoder cannot be used after an error: it does not know where the next message begins.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from replicad.errors import ProtocolError
from replicad.kernels import crc32c
from replicad.options import BATCH_BYTES_MAX, KIB

PREFIX = struct.Struct("<IIBBHI")
PREFIX_BYTES = PREFIX.size

HEADER_BYTES_MAX = 64 * KIB - 1
PAYLOAD_BYTES_MAX = BATCH_BYTES_MAX + KIB
"""One frame of the largest batch, and room for its own header."""


class RawMessage(NamedTuple):
    """A message whose checksums were right; the header is not decoded yet."""

    kind: int
    header: bytes
    payload: bytes


def encode_prefix(kind: int, header: bytes, payload: bytes) -> bytes:
    """Prefix and header; the payload follows it on the wire as it is."""
    if len(header) > HEADER_BYTES_MAX or len(payload) > PAYLOAD_BYTES_MAX:
        raise AssertionError(f"message {kind}: header {len(header)}, payload {len(payload)} bytes")
    prefix = PREFIX.pack(0, crc32c(payload), kind, 0, len(header), len(payload))
    return struct.pack("<I", crc32c(header, crc32c(prefix[8:]))) + prefix[4:] + header


class MessageDecoder:
    """Feed it what arrived, take the messages that are complete.

    `payload_bytes_max` may be raised while it is in use: nobody sends a payload before the two nodes know
    each other.
    """

    def __init__(self, payload_bytes_max: int = 0) -> None:
        self.payload_bytes_max = payload_bytes_max
        self._buffer = bytearray()
        self._wanted = PREFIX_BYTES

    @property
    def buffered_bytes(self) -> int:
        """Bytes of a message that is not complete yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[RawMessage]:
        """Raises ProtocolError when a length is over its limit or a checksum is wrong."""
        buffer = self._buffer
        buffer += data

        # A large message comes in many pieces: it is parsed when its header is complete and when its payload
        # is, not for every piece.
        if len(buffer) < self._wanted:
            return []

        messages = []
        offset, end = 0, len(buffer)
        view = memoryview(buffer)
        try:
            while end - offset >= PREFIX_BYTES:
                header_crc, payload_crc, kind, zero, header_length, payload_length = PREFIX.unpack_from(
                    view, offset
                )

                # Before the body is waited for: a peer must not make this node keep more than the limit.
                self._check_lengths(kind, zero, payload_length)

                body = offset + PREFIX_BYTES
                middle = body + header_length
                after = middle + payload_length

                # This checksum covers the lengths too. A damaged length is found here, not by waiting for a
                # payload that never ends.
                if end >= middle and crc32c(view[body:middle], crc32c(view[offset + 8 : body])) != header_crc:
                    raise ProtocolError(f"message of kind {kind}: the header's checksum is wrong")

                if end < after:
                    self._wanted = (after if end >= middle else middle) - offset
                    break

                payload = bytes(view[middle:after])
                if crc32c(payload) != payload_crc:
                    raise ProtocolError(f"message of kind {kind}: the payload's checksum is wrong")

                messages.append(RawMessage(kind, bytes(view[body:middle]), payload))
                offset = after
            else:
                self._wanted = PREFIX_BYTES
        finally:
            # A bytearray cannot be cut while a view of it exists.
            view.release()

        del buffer[:offset]
        return messages

    def _check_lengths(self, kind: int, zero: int, payload_length: int) -> None:
        if zero:
            raise ProtocolError(f"message of kind {kind}: byte 9 is {zero}, not zero")
        if payload_length > self.payload_bytes_max:
            raise ProtocolError(
                f"message of kind {kind}: a payload of {payload_length} bytes; "
                f"the limit is {self.payload_bytes_max}"
            )
