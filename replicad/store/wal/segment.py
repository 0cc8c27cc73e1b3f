"""A segment's name and header, and what is known of one while the database is open (`proto/log.md`).

segment = header (64 bytes), frame*
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from pathlib import Path

from replicad import kernels
from replicad.env import AppendFile
from replicad.errors import CorruptionError, NewerFormatError
from replicad.types import DatabaseId, Epoch, HistoryHash, Position, Sequence

MAGIC = b"RPLCDLOG"
VERSION = 1
HEADER_BYTES = 64

_HEADER = struct.Struct("<8sII16sQQI8x")
_CHECKSUM = struct.Struct("<I")
_NAME = re.compile(r"(\d{10})-(\d{20})\.log")


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """Whose log this is, its epoch, and the position before its first frame."""

    database_id: DatabaseId
    epoch: Epoch
    previous: Position

    def encode(self) -> bytes:
        body = _HEADER.pack(
            MAGIC,
            VERSION,
            self.epoch,
            self.database_id,
            self.previous.sequence,
            self.previous.history_hash,
            self.previous.epoch,
        )
        return body + _CHECKSUM.pack(kernels.crc32c(body))

    @classmethod
    def decode(cls, data: bytes) -> SegmentHeader:
        """Reads the first 64 bytes of a segment; raises CorruptionError or NewerFormatError."""
        if len(data) < HEADER_BYTES:
            raise CorruptionError("the segment header is cut", offset=0, expected=HEADER_BYTES, got=len(data))
        body = data[: HEADER_BYTES - 4]
        (checksum,) = _CHECKSUM.unpack_from(data, HEADER_BYTES - 4)
        if (actual := kernels.crc32c(body)) != checksum:
            raise CorruptionError("segment header checksum", offset=0, expected=checksum, got=actual)
        magic, version, epoch, database_id, sequence, history_hash, previous_epoch = _HEADER.unpack(body)
        if magic != MAGIC:
            raise CorruptionError("not a log segment", offset=0, expected=MAGIC, got=magic)
        if version > VERSION:
            raise NewerFormatError.of("log segment", version, VERSION)
        previous = Position(Epoch(previous_epoch), Sequence(sequence), HistoryHash(history_hash))
        return cls(DatabaseId(database_id), Epoch(epoch), previous)


def segment_name(epoch: Epoch, first_sequence: Sequence) -> str:
    return f"{epoch:010d}-{first_sequence:020d}.log"


def is_segment_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def first_sequence_of(name: str) -> Sequence:
    """The sequence number that a segment of this name begins with."""
    return Sequence(int(name[11:31]))


@dataclass(slots=True)
class Segment:
    """One log file of an open database.

    `end` is replaced as a whole: (bytes, last sequence number) up to which the file is durable, so that a
    reader that never goes beyond it sees whole, durable frames only. `sealed`: nothing will follow `end`.

    `file` is what this process writes it with, until all of it is durable. `left`: nothing will be written to
    it any more.
    """

    path: Path
    header: SegmentHeader
    end: tuple[int, Sequence]
    sealed: bool
    archived: bool = False
    archived_at: float | None = None
    file: AppendFile | None = None
    left: bool = False
    marks: list[tuple[Sequence, int]] = field(default_factory=list)
    """Sparse index: (last sequence number before, offset), one about every 256 KiB, made as it is needed."""

    @property
    def first_sequence(self) -> Sequence:
        return Sequence(self.header.previous.sequence + 1)

    @property
    def last_sequence(self) -> Sequence:
        return self.end[1]

    @property
    def size_bytes(self) -> int:
        return self.end[0]

    @property
    def written_bytes(self) -> int:
        """Up to there are whole frames, durable or not yet."""
        file = self.file
        return self.end[0] if file is None else file.size
