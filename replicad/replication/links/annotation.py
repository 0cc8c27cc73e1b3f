"""The annotation `replicad.link/1`: where a batch was made first (proto/link.md).

A primary puts it into each batch that it writes for a link. A node that ships this log further tells
from it whose batch that is; nothing else in the batch says so.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from replicad.errors import CorruptionError

PREFIX = b"replicad."
"""Annotations that begin so are ours: clients cannot write them."""
MAGIC = b"replicad.link/1\0"
HOPS_MAX = 16

_FIELDS = struct.Struct(">16s16sIQQQQB")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """`origin`'s log from `first` through `last`, whose last batch this is; before it nothing was linked."""

    origin: bytes
    peer: bytes
    """The database id of the primary that it came from directly; of the origin itself, the origin."""
    epoch: int
    """Of the origin's log."""
    fork: int
    """After which sequence number that epoch begins."""
    first: int
    last: int
    frontier_us: int
    """No later batch of the origin has a stamp with this time or an earlier one."""
    hops: int
    """Links that it came over."""

    def encode(self) -> bytes:
        epoch, span = (self.epoch, self.fork), (self.first, self.last)
        return MAGIC + _FIELDS.pack(self.origin, self.peer, *epoch, *span, self.frontier_us, self.hops)


def decode_provenance(data: bytes) -> Provenance:
    """Of an annotation that begins with MAGIC."""
    if len(data) != len(MAGIC) + _FIELDS.size:
        raise CorruptionError(f"an annotation of a link has {len(data)} bytes")
    origin, peer, epoch, fork, first, last, frontier_us, hops = _FIELDS.unpack_from(data, len(MAGIC))
    return Provenance(
        origin=origin,
        peer=peer,
        epoch=epoch,
        fork=fork,
        first=first,
        last=last,
        frontier_us=frontier_us,
        hops=hops,
    )
