"""Writes that came over a link and lost, kept for a while so that somebody can look at them (proto/link.md).

    replicad.losers    until when it is kept, origin, last, number in the batch  ->  a record in msgpack

Of two writes that did not know of each other, the older one is kept where it met the newer one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgpack

from replicad.errors import CorruptionError
from replicad.options import MIB
from replicad.replication.links.batches import Write
from replicad.replication.links.merge import KeyHere, LinkBatch, LinkOperation
from replicad.replication.links.records import LOSERS
from replicad.replication.links.stamps import Stamp

_KEY = struct.Struct(">Q16sQI")
KEPT_BYTES_MAX = MIB
"""Of one batch; what is more is counted and not kept."""
RECORD_BYTES = 64
"""About what each takes besides its value."""


class Keep(NamedTuple):
    link: str
    seconds: float


class Loser(NamedTuple):
    link: str
    arrived_us: int
    family: str
    key: bytes
    value: bytes | None
    """None: it was a delete."""
    stamp: Stamp
    winner: Stamp | None
    """None: a deletion that was forgotten."""

    def encode(self) -> bytes:
        winner = None if self.winner is None else [*self.winner]
        packed: bytes = msgpack.packb([*self[:5], [*self.stamp], winner], use_bin_type=True)
        return packed


def decode_loser(data: bytes) -> Loser:
    try:
        link, arrived_us, family, key, value, stamp, winner = msgpack.unpackb(data, raw=False)
        return Loser(
            link, arrived_us, family, key, value, Stamp(*stamp), None if winner is None else Stamp(*winner)
        )
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise CorruptionError(f"{LOSERS}: a record cannot be read: {error}") from None


def kept(
    keep: Keep,
    batch: LinkBatch,
    lost: Iterable[tuple[LinkOperation, KeyHere]],
    now_us: int,
    room_bytes: int = KEPT_BYTES_MAX,
) -> Iterator[Write]:
    """The records of what lost against another write, as far as there is room."""
    until_us = now_us + round(keep.seconds * 1e6)
    room_bytes = min(room_bytes, KEPT_BYTES_MAX)
    for number, (operation, here) in enumerate(lost):
        winner = None if here.stamp is None else here.stamp.stamp
        if winner == operation.stamp:
            continue
        record = Loser(
            link=keep.link,
            arrived_us=now_us,
            family=operation.family,
            key=operation.key,
            value=operation.value,
            stamp=operation.stamp,
            winner=winner,
        ).encode()
        room_bytes -= len(record) + RECORD_BYTES
        if room_bytes < 0:
            return
        came = batch.provenance
        yield Write(LOSERS, _KEY.pack(until_us, came.origin, came.last, number), record)


def kept_until(until_us: int) -> bytes:
    """The first key of a record that is kept longer than this."""
    return _KEY.pack(until_us + 1, bytes(16), 0, 0)
