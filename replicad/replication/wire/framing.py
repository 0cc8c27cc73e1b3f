"""The outermost layer of the wire (proto/wire.md): bytes to messages and back, without any I/O.

     0  u32  checksum of bytes 8..16 and of the header
     4  u32  checksum of the payload
     8  u8   kind
     9  u8   zero
    10  u16  header length
    12  u32  payload length
    16  header (a msgpack map), then payload (raw bytes)

Lengths are checked against the limits before anything is kept. Memory grows with what arrived, not with what
was announced, but for the `DIRECT_BYTES_MAX` of one payload. A decoder cannot be used after an error: it does
not know where the next message begins.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from replicad.errors import ProtocolError
from replicad.kernels import crc32c
from replicad.options import BATCH_BYTES_MAX, KIB, MIB

PREFIX = struct.Struct("<IIBBHI")
PREFIX_BYTES = PREFIX.size

HEADER_BYTES_MAX = 64 * KIB - 1
PAYLOAD_BYTES_MAX = BATCH_BYTES_MAX + KIB
"""One frame of the largest batch, and room for its own header."""

DIRECT_BYTES_MIN = 64 * KIB
DIRECT_BYTES_MAX = MIB
"""A payload of such a size gets memory of its own when its header is complete. A peer can have a node keep so
much, and no more, before it sends it."""


class RawMessage(NamedTuple):
    """A message whose checksums were right; the header is not decoded yet."""

    kind: int
    header: bytes
    payload: bytes | bytearray


class _DirectPayload:
    """A payload that arrives in memory of its own."""

    __slots__ = ("checksum", "header", "kind", "payload", "size")

    def __init__(self, kind: int, header: bytes, checksum: int, length: int) -> None:
        self.kind = kind
        self.header = header
        self.checksum = checksum
        self.payload = bytearray(length)
        self.size = 0
        """How much of it is here."""

    def rest(self) -> memoryview:
        return memoryview(self.payload)[self.size :]

    def take(self, data: memoryview) -> None:
        self.payload[: len(data)] = data
        self.size = len(data)


def _checked(kind: int, header: bytes, payload: bytes | bytearray, checksum: int) -> RawMessage:
    if crc32c(payload) != checksum:
        raise ProtocolError(f"message of kind {kind}: the payload's checksum is wrong")
    return RawMessage(kind, header, payload)


def encode_prefix(kind: int, header: bytes, payload: bytes) -> bytes:
    """Prefix and header; the payload follows it on the wire as it is."""
    if len(header) > HEADER_BYTES_MAX or len(payload) > PAYLOAD_BYTES_MAX:
        raise AssertionError(f"message {kind}: header {len(header)}, payload {len(payload)} bytes")
    prefix = PREFIX.pack(0, crc32c(payload), kind, 0, len(header), len(payload))
    return struct.pack("<I", crc32c(header, crc32c(prefix[8:]))) + prefix[4:] + header


class MessageDecoder:
    """Feed it what arrived, take the messages that are complete.

    A large payload has memory of its own, which `rest` shows: what reads from a socket reads into it, says so
    with `filled`, and nothing is copied.

    `payload_bytes_max` may be raised while it is in use: nobody sends a payload before the two nodes know
    each other.
    """

    def __init__(self, payload_bytes_max: int = 0, *, direct_bytes_min: int = DIRECT_BYTES_MIN) -> None:
        self.payload_bytes_max = payload_bytes_max
        self._direct_bytes_min = direct_bytes_min
        self._direct: _DirectPayload | None = None
        self._buffer = bytearray()
        self._wanted = PREFIX_BYTES

    @property
    def buffered_bytes(self) -> int:
        """Bytes of a message that is not complete yet."""
        return len(self._buffer) + (0 if self._direct is None else self._direct.size)

    def rest(self) -> memoryview | None:
        """Where the rest of the payload goes that arrives now; None where `feed` is to be called."""
        return None if self._direct is None else self._direct.rest()

    def filled(self, size: int) -> list[RawMessage]:
        """As `feed`, of bytes that are in `rest` already."""
        assert self._direct is not None
        self._direct.size += size
        if self._direct.size < len(self._direct.payload):
            return []
        direct, self._direct = self._direct, None
        self._wanted = PREFIX_BYTES
        return [_checked(direct.kind, direct.header, direct.payload, direct.checksum)]

    def feed(self, data: bytes | memoryview) -> list[RawMessage]:
        """Raises ProtocolError when a length is over its limit or a checksum is wrong."""
        messages = []
        if (rest := self.rest()) is not None:
            first = data[: len(rest)]
            rest[: len(first)] = first
            messages += self.filled(len(first))
            data = data[len(first) :]

        buffer = self._buffer
        buffer += data

        # A large message comes in many pieces: it is parsed when its header is complete and when its payload
        # is, not for every piece.
        if len(buffer) < self._wanted:
            return messages

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

                if middle <= end < after and self._direct_bytes_min <= payload_length <= DIRECT_BYTES_MAX:
                    direct = _DirectPayload(kind, bytes(view[body:middle]), payload_crc, payload_length)
                    direct.take(view[middle:end])
                    self._direct = direct
                    offset = end
                    break

                if end < after:
                    self._wanted = (after if end >= middle else middle) - offset
                    break

                messages.append(
                    _checked(kind, bytes(view[body:middle]), bytes(view[middle:after]), payload_crc)
                )
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
