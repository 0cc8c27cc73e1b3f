"""Stamps: when a write was made, by a clock that never stands still, and where. They are totally ordered.

    stamp = (time_us, origin)        the larger one wins

The time is that of a hybrid logical clock (Kulkarni et al., "Logical Physical Clocks", 2014, with one number
for both parts): max(now, last + 1, received + 1). So a write that was made after another was seen has the
larger stamp, whatever the wall clocks say. It is not the commit time: a neighbour's clock must not move that.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

AHEAD_US_MAX = 5_000_000
"""A stamp that is further ahead of the local wall clock comes from a clock that is wrong."""

_STAMP = struct.Struct(">Q16s")
STAMP_BYTES = _STAMP.size


class Stamp(NamedTuple):
    time_us: int
    origin: bytes
    """The database id (16 bytes) of the primary where the write was made."""

    def encode(self) -> bytes:
        """Bytes that are ordered as the stamps are."""
        return _STAMP.pack(self.time_us, self.origin)


def decode_stamp(data: bytes) -> Stamp:
    """Raises struct.error for another length."""
    return Stamp(*_STAMP.unpack(data))


class HybridClock:
    """Of one primary. `last_us` is durable with each batch: a new process begins where the old one ended."""

    def __init__(self, last_us: int = 0) -> None:
        self.last_us = last_us
        """No stamp that is made from now on has this time or an earlier one."""

    def next(self, now_us: int) -> int:
        """The time of a new stamp."""
        self.last_us = max(now_us, self.last_us + 1)
        return self.last_us

    def see(self, time_us: int) -> None:
        """A stamp of another primary arrived."""
        self.last_us = max(self.last_us, time_us)
