"""What a replica asks about its primary's data at a mark, and the payloads of the answers (proto/wire.md).

    families = { id u32, name length u32, name }
    ranges   = { end length u32 (ff ff ff ff: the family's end), end, bytes u64, SHA-256 }
    entries  = whole u8, { key length u32, key, SHA-256 of the value }

An answer holds as many ranges as were asked for, at most, in order; each begins where the one before it ends.
A payload that is anything else is a ProtocolError.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from enum import StrEnum

from replicad.errors import ProtocolError
from replicad.options import KEY_BYTES_MAX
from replicad.store.ranges import BOUNDARY_BYTES_MAX, Entries, Entry, RangeDigest

NO_END = 0xFFFFFFFF
DIGEST_BYTES = 32
FAMILY_NAME_BYTES_MAX = 255

_U32 = struct.Struct("<I")
_FAMILY = struct.Struct("<II")
_U64 = struct.Struct("<Q")


class Subject(StrEnum):
    """What a question is about; on the wire."""

    FAMILIES = "families"
    SPLIT = "split"
    DIGESTS = "digests"
    ENTRIES = "entries"
    RELEASE = "release"


class Trouble(StrEnum):
    """Why there is no answer; on the wire."""

    NO_MARK = "no-mark"
    DAMAGED = "damaged"
    REFUSED = "refused"


def encode_families(named: Mapping[int, str]) -> bytes:
    encoded = ((id, name.encode()) for id, name in named.items())
    return b"".join(_FAMILY.pack(id, len(name)) + name for id, name in encoded)


def decode_families(payload: bytes) -> dict[int, str]:
    reader = _Reader(payload)
    named: dict[int, str] = {}
    while not reader.at_end:
        id = reader.u32()
        name = reader.sized(reader.u32(), FAMILY_NAME_BYTES_MAX)
        if named and id <= max(named):
            raise ProtocolError("column families are not in order")
        named[id] = name.decode(errors="backslashreplace")
    return named


def encode_ranges(ranges: Sequence[RangeDigest]) -> bytes:
    return b"".join(
        (_U32.pack(NO_END) if part.end is None else _U32.pack(len(part.end)) + part.end)
        + _U64.pack(part.size_bytes)
        + part.digest
        for part in ranges
    )


def decode_ranges(payload: bytes, start: bytes) -> list[RangeDigest]:
    """The ranges of an answer, the first of which begins at `start`."""
    reader = _Reader(payload)
    ranges = []
    at: bytes | None = start
    while not reader.at_end:
        length = reader.u32()
        end = None if length == NO_END else reader.sized(length, BOUNDARY_BYTES_MAX)
        if at is None or (end is not None and end < at):
            raise ProtocolError("ranges of digests are not in order")
        ranges.append(RangeDigest(at, end, reader.u64(), reader.sized(DIGEST_BYTES, DIGEST_BYTES)))
        at = end
    return ranges


def encode_entries(entries: Entries) -> bytes:
    listed = (_U32.pack(len(entry.key)) + entry.key + entry.digest for entry in entries.entries)
    return bytes([entries.whole]) + b"".join(listed)


def decode_entries(payload: bytes) -> Entries:
    reader = _Reader(payload)
    whole = reader.sized(1, 1)
    if whole not in (b"\0", b"\1"):
        raise ProtocolError("a listing that is neither whole nor not")
    entries: list[Entry] = []
    while not reader.at_end:
        key = reader.sized(reader.u32(), KEY_BYTES_MAX)
        if entries and key <= entries[-1].key:
            raise ProtocolError("listed keys are not in order")
        entries.append(Entry(key, reader.sized(DIGEST_BYTES, DIGEST_BYTES)))
    if not entries and whole == b"\0":
        raise ProtocolError("an empty listing that is not whole")
    return Entries(tuple(entries), whole == b"\1")


class _Reader:
    """A bounds-checked walk over a payload."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._at = 0

    @property
    def at_end(self) -> bool:
        return self._at == len(self._payload)

    def u32(self) -> int:
        (value,) = _U32.unpack(self.sized(4, 4))
        return int(value)

    def u64(self) -> int:
        (value,) = _U64.unpack(self.sized(8, 8))
        return int(value)

    def sized(self, length: int, length_max: int) -> bytes:
        end = self._at + length
        if length > length_max or end > len(self._payload):
            raise ProtocolError(f"{length} bytes at {self._at} of an answer of {len(self._payload)}")
        data = self._payload[self._at : end]
        self._at = end
        return data
