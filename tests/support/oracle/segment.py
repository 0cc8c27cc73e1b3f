"""The header of a log segment: proto/log.md."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tests.support.oracle.checksums import crc32c
from tests.support.oracle.varint import Malformed

HEADER = struct.Struct("<8sII16sQQI8sI")
MAGIC = b"RPLCDLOG"


@dataclass(frozen=True)
class SegmentHeader:
    """Whose log it is, and the position before the segment's first frame."""

    epoch: int
    database_id: bytes
    sequence: int
    history_hash: int
    previous_epoch: int

    def encode(self) -> bytes:
        previous = (self.sequence, self.history_hash, self.previous_epoch)
        fields = HEADER.pack(MAGIC, 1, self.epoch, self.database_id, *previous, bytes(8), 0)[:60]
        return fields + struct.pack("<I", crc32c(fields))

    @classmethod
    def decode(cls, data: bytes) -> SegmentHeader:
        if len(data) < HEADER.size:
            raise Malformed("past the end")
        fields = HEADER.unpack(data[: HEADER.size])
        magic, version, epoch, database_id, sequence, history_hash, previous_epoch, zero, checksum = fields
        if checksum != crc32c(data[:60]) or magic != MAGIC or version != 1 or zero != bytes(8):
            raise Malformed("no segment header")
        return cls(epoch, database_id, sequence, history_hash, previous_epoch)


def file_name(epoch: int, first_sequence: int) -> str:
    return f"{epoch:010d}-{first_sequence:020d}.log"
