"""What a linked primary keeps in system families, in the same batches as the data (proto/link.md).

    replicad.origins   origin id                 -> how far its batches are here: `OriginRecord`
    replicad.stamps    family id, key            -> the stamp of the key's newest write: `KeyStamp`
                       the empty key             -> the horizon of deleted keys, in microseconds
    replicad.links     name of a link            -> what the operator asked for, in JSON
    replicad.losers    until when, and what      -> a write that lost (`losers`)

They are ordinary families: replicas have them, so a new primary of a site goes on where the old one was.
Their names begin with a prefix that clients cannot use.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from replicad.errors import CorruptionError
from replicad.replication.links.stamps import STAMP_BYTES, Stamp, decode_stamp

SYSTEM_PREFIX = "replicad."
ORIGINS = "replicad.origins"
STAMPS = "replicad.stamps"
LINKS = "replicad.links"
LOSERS = "replicad.losers"
SYSTEM_FAMILIES = (ORIGINS, STAMPS, LINKS)
"""Of every linked primary. `LOSERS` is there once a link keeps what lost."""

_FAMILY = struct.Struct(">I")
LINKED_KEY_BYTES_MAX = 60_000
"""Of a key in a linked family: that of its stamp has the family in front, and a header names keys."""

_ORIGIN = struct.Struct(">IQQQ")
_PUT, _DELETED = b"\x01", b"\x02"


HORIZON_KEY = b""
_HORIZON = struct.Struct(">Q")


GONE_US = (1 << 63) - 1


class OriginRecord(NamedTuple):
    """How far one origin's batches are here. Of the primary itself: only its clock, and what it has seen."""

    epoch: int = 0
    sequence: int = 0
    """Of the origin's log: every batch through here was applied, dropped or holds nothing that is linked."""
    frontier_us: int = 0
    """No stamp with this time or an earlier one comes from there any more."""
    seen_us: int = 0
    """Of all other origins, it has every write with this time or an earlier one. GONE_US: nobody waits for it
    any more."""

    @property
    def is_gone(self) -> bool:
        return self.seen_us == GONE_US

    def encode(self) -> bytes:
        return _ORIGIN.pack(*self)


def decode_origin(data: bytes) -> OriginRecord:
    try:
        return OriginRecord(*_ORIGIN.unpack(data))
    except struct.error:
        raise CorruptionError(f"{ORIGINS}: a record of {len(data)} bytes") from None


class KeyStamp(NamedTuple):
    """`is_deleted`: the stamp is that of a delete, which the key itself does not show."""

    stamp: Stamp
    is_deleted: bool

    def encode(self) -> bytes:
        return self.stamp.encode() + (_DELETED if self.is_deleted else _PUT)


def decode_key_stamp(data: bytes) -> KeyStamp:
    kind = data[STAMP_BYTES:]
    if kind not in (_PUT, _DELETED):
        raise CorruptionError(f"{STAMPS}: a record of {len(data)} bytes")
    return KeyStamp(decode_stamp(data[:STAMP_BYTES]), kind == _DELETED)


def stamp_key(family: int, key: bytes) -> bytes:
    """Under which the stamp of a key is kept."""
    return _FAMILY.pack(family) + key


def split_stamp_key(data: bytes) -> tuple[int, bytes]:
    """(family, key) of a key in `replicad.stamps`."""
    return _FAMILY.unpack(data[: _FAMILY.size])[0], data[_FAMILY.size :]


def encode_horizon(time_us: int) -> bytes:
    return _HORIZON.pack(time_us)


def decode_horizon(data: bytes | None) -> int:
    """0 where no stamp has gone yet."""
    if data is None:
        return 0
    if len(data) != _HORIZON.size:
        raise CorruptionError(f"{STAMPS}: a horizon of {len(data)} bytes")
    time_us: int = _HORIZON.unpack(data)[0]
    return time_us
