"""Frames: proto/log.md."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from tests.support.oracle.batch import BODY_MAX, Record, count_operations, decode_body, encode_body
from tests.support.oracle.checksums import crc32c, xxh64
from tests.support.oracle.varint import Malformed

HEADER = struct.Struct("<IIIIIIQQQQ")
SEQUENCE_MAX = 2**56 - 1

END, PARTIAL, LIMIT, BAD_HEADER, BAD_BODY, BAD_CHAIN, NEWER = range(7)


@dataclass
class Log:
    """Frames made one after another, from a position on."""

    database_id: bytes
    epoch: int = 1
    sequence: int = 0
    history_hash: int = 0
    commit_time_us: int = 0
    frames: list[bytes] = field(default_factory=list)
    start: tuple[int, int, int] = field(init=False)

    def __post_init__(self) -> None:
        self.start = (self.epoch, self.sequence, self.history_hash)

    def append(self, records: list[Record], now_us: int, durable_sequence: int) -> int:
        """Makes a frame of `records`; returns its last sequence number."""
        body = encode_body(records)
        operations = count_operations(records)
        self.commit_time_us = max(self.commit_time_us, now_us)
        first_sequence = self.sequence + 1
        front = (len(body), crc32c(body), self.epoch, operations, 0)
        numbers = (first_sequence, durable_sequence, self.commit_time_us)
        header = HEADER.pack(0, *front, *numbers, 0)
        self.history_hash = xxh64(header[8:32] + header[40:48] + body, self.history_hash)
        header = HEADER.pack(0, *front, *numbers, self.history_hash)
        checksum = crc32c(self.database_id + header[4:])
        self.frames.append(struct.pack("<I", checksum) + header[4:] + body)
        self.sequence += max(1, operations)
        return self.sequence

    @property
    def data(self) -> bytes:
        return b"".join(self.frames)


@dataclass
class Scan:
    """What is known after the good frames at the front of some bytes."""

    epoch: int
    last_sequence: int
    history_hash: int
    end: int = 0
    frames: int = 0
    operations: int = 0
    first_sequence: int = 0
    commit_time_us: int = 0
    durable_sequence: int = 0
    stop: int = END


def scan(
    data: bytes,
    database_id: bytes,
    epoch: int,
    sequence: int,
    history_hash: int,
    *,
    stop_sequence: int = 2**64 - 1,
    check_chain: bool = True,
    check_body: bool = True,
    max_frames: int = 0,
) -> Scan:
    """Walks the whole, good frames at the front of `data`, the first of which follows the given position."""
    found = Scan(epoch, sequence, history_hash)
    while found.stop == END and found.end < len(data):
        if max_frames and found.frames == max_frames:
            found.stop = LIMIT
            break
        found.stop = _step(found, data[found.end :], database_id, stop_sequence, check_chain, check_body)
    return found


def _step(
    found: Scan, rest: bytes, database_id: bytes, stop_sequence: int, check_chain: bool, check_body: bool
) -> int:
    if len(rest) < HEADER.size:
        return PARTIAL
    header = HEADER.unpack(rest[: HEADER.size])
    checksum, body_length, body_crc, epoch, operations, flags, first, durable, commit_time, hash_ = header
    if checksum != crc32c(database_id + rest[4:56]):
        return BAD_HEADER
    if flags:
        return NEWER
    last = first + max(1, operations) - 1
    if not 0 < body_length <= BODY_MAX or first == 0 or last > SEQUENCE_MAX:
        return BAD_HEADER
    if last > stop_sequence:
        return LIMIT
    follows = first == found.last_sequence + 1 and epoch >= found.epoch
    if (check_chain or found.frames) and not follows:
        return BAD_CHAIN
    body = rest[56 : 56 + body_length]
    if len(body) < body_length:
        return PARTIAL
    if check_body:
        try:
            if crc32c(body) != body_crc or count_operations(decode_body(body)) != operations:
                return BAD_BODY
        except Malformed:
            return BAD_BODY
    if check_chain and hash_ != xxh64(rest[8:32] + rest[40:48] + body, found.history_hash):
        return BAD_CHAIN
    if found.frames == 0:
        found.first_sequence = first
    found.epoch, found.last_sequence, found.history_hash = epoch, last, hash_
    found.commit_time_us = commit_time
    found.durable_sequence = max(found.durable_sequence, durable)
    found.end += HEADER.size + body_length
    found.frames += 1
    found.operations += operations
    return END
