"""Puts the checksums of a changed file right, so that a reader gets to what lies behind them.

A flipped bit ends at a checksum. What a hostile peer sends, or a bug writes, does not: its checksums are
right. Each function keeps what it does not understand.
"""

from __future__ import annotations

import hashlib
import re
import struct

from replicad import kernels
from replicad.errors import CorruptionError
from replicad.replication.wire.framing import PREFIX, PREFIX_BYTES
from replicad.store.manifest import file as manifest_file
from replicad.store.table import format as table_format
from replicad.store.wal import segment
from tests.support.oracle.checksums import xxh64

_FRAME_BYTES = 56
_ENVELOPE = re.compile(rb'(\{"replicad":")([a-z-]{1,32})(","sha256":")([0-9a-f]{64})(","body":)', re.DOTALL)


def _put(data: bytearray, offset: int, layout: str, value: int) -> None:
    struct.pack_into(layout, data, offset, value)


def _number(data: bytes | bytearray, offset: int, layout: str) -> int:
    (value,) = struct.unpack_from(layout, data, offset)
    return int(value)


def segment_file(data: bytes) -> bytes:
    """Header, and frames that follow each other as far as their lengths lead."""
    made = bytearray(data)
    if len(made) < segment.HEADER_BYTES:
        return data
    _put(made, segment.HEADER_BYTES - 4, "<I", kernels.crc32c(bytes(made[: segment.HEADER_BYTES - 4])))
    database_id = bytes(made[16:32])
    sequence, previous = _number(made, 32, "<Q"), _number(made, 40, "<Q")
    at = segment.HEADER_BYTES
    while len(made) - at > _FRAME_BYTES:
        length = _number(made, at + 4, "<I")
        body = bytes(made[at + _FRAME_BYTES : at + _FRAME_BYTES + length])
        if len(body) < length or length == 0:
            break
        _put(made, at + 8, "<I", kernels.crc32c(body))
        _put(made, at + 24, "<Q", (sequence + 1) % 2**64)
        previous = xxh64(bytes(made[at + 8 : at + 32] + made[at + 40 : at + 48]) + body, previous)
        _put(made, at + 48, "<Q", previous)
        seed = kernels.crc32c(database_id)
        _put(made, at, "<I", kernels.crc32c(bytes(made[at + 4 : at + _FRAME_BYTES]), seed))
        sequence += max(1, _number(made, at + 16, "<I"))
        at += _FRAME_BYTES + length
    return bytes(made)


def manifest(data: bytes) -> bytes:
    """Header and records; a record that says it is longer than the file is cut to it."""
    made = bytearray(data)
    header = manifest_file.HEADER_BYTES
    if len(made) < header:
        return data
    _put(made, header - 4, "<I", kernels.crc32c(bytes(made[: header - 4])))
    database_id = bytes(made[12:28])
    at = header
    while len(made) - at > 8:
        length = min(_number(made, at, "<I"), len(made) - at - 8)
        payload = bytes(made[at + 8 : at + 8 + length])
        seed = kernels.crc32c(database_id + at.to_bytes(8, "little"))
        struct.pack_into("<II", made, at, length, kernels.crc32c(payload, seed))
        at += 8 + length
    return bytes(made)


def current(data: bytes) -> bytes:
    text = b" ".join(data.split(b" ")[:2])
    return text + b" %08x\n" % kernels.crc32c(text)


def options(data: bytes) -> bytes:
    """The last line, which is the checksum of what stands before it."""
    content = re.sub(rb"# crc32c [0-9a-f]{8}\n\Z", b"", data)
    return content + b"# crc32c %08x\n" % kernels.crc32c(content)


def table(data: bytes) -> bytes:
    """Footer, the blocks that it names, and the data blocks that the index names."""
    made = bytearray(data)
    begin = len(made) - table_format.FOOTER_BYTES
    if begin < 0:
        return data
    _put(made, len(made) - 4, "<I", kernels.crc32c(bytes(made[begin:-4])))
    table_id = bytes(made[begin + 12 : begin + 28])
    index: tuple[int, int, int] = (0, 0, 0)
    for at in (begin + 28, begin + 44, begin + 60):
        offset, length, raw_length = struct.unpack_from("<QII", made, at)
        _seal(made, table_id, offset, length)
        if at == begin + 44:
            index = (offset, length, raw_length)
    try:
        handle = table_format.BlockHandle(*index)
        sealed = bytes(made[handle.offset : handle.offset + handle.length + table_format.TRAILER_BYTES])
        raw, _ = kernels.open_block(sealed, table_id, *handle)
        for _, offset, length, _ in kernels.decode_index(raw):
            _seal(made, table_id, offset, length)
    except CorruptionError:
        pass
    return bytes(made)


def _seal(made: bytearray, table_id: bytes, offset: int, length: int) -> None:
    if offset + length + table_format.TRAILER_BYTES <= len(made):
        seed = kernels.crc32c(table_id + offset.to_bytes(8, "little"))
        sealed = bytes(made[offset : offset + length + 1])
        _put(made, offset + length + 1, "<I", kernels.crc32c(sealed, seed))


def document(data: bytes) -> bytes:
    """The digest of an envelope, whatever its body has become."""
    head = _ENVELOPE.match(data)
    if head is None or not data.endswith(b"}\n"):
        return data
    content = data[head.end() : -2]
    digest = hashlib.sha256(head[2] + b"\n" + content).hexdigest().encode()
    return b"".join((head[1], head[2], head[3], digest, head[5], content, b"}\n"))


def wire(data: bytes) -> bytes:
    """The prefixes of messages that follow each other; a payload longer than the input is cut to it."""
    made = bytearray(data)
    at = 0
    while len(made) - at >= PREFIX_BYTES:
        _, _, kind, zero, header_length, payload_length = PREFIX.unpack_from(made, at)
        middle = at + PREFIX_BYTES + header_length
        payload_length = max(0, min(payload_length, len(made) - middle))
        payload = bytes(made[middle : middle + payload_length])
        rest = PREFIX.pack(0, kernels.crc32c(payload), kind, zero, header_length, payload_length)[4:]
        made[at + 4 : at + PREFIX_BYTES] = rest
        header = bytes(made[at + PREFIX_BYTES : middle])
        _put(made, at, "<I", kernels.crc32c(header, kernels.crc32c(rest[4:])))
        at = middle + payload_length
    return bytes(made)
