"""Digests of key ranges at a snapshot: what two nodes compare instead of their data.

A digest covers pairs in key order, never tables: nodes compact by themselves. The node that splits a range
chooses the boundaries by counting bytes, and the other node digests the same ranges. A boundary is any byte
string, not necessarily a key, and is short; a stretch of long keys that no short boundary parts stays in one
piece.

Everything here blocks, reads as much as it was asked for (one pair more, at most), and keeps nothing.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from replicad.options import KIB, MIB
from replicad.store.reading import Snapshot

BOUNDARY_BYTES_MAX = KIB
PAGE_BYTES = MIB
ENTRIES_BYTES_MAX = 512 * KIB
"""Of the keys and digests in one listing, about."""
READ_BYTES_MAX = 64 * MIB
"""Of the pairs that are read for one listing, about: values may be far larger than their digests."""

_LENGTHS = struct.Struct("<II")
_ENTRY_BYTES = 40


@dataclass(frozen=True, slots=True)
class RangeDigest:
    """The pairs with `start` <= key < `end` (None: to the last) of one family.

    `size_bytes` and `digest` (SHA-256) are of the pairs as (key length u32, value length u32, key, value).
    """

    start: bytes
    end: bytes | None
    size_bytes: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """A key with the SHA-256 of its value."""

    key: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class Entries:
    """Keys in order from the beginning of a range; `whole` says whether they are all of it."""

    entries: tuple[Entry, ...]
    whole: bool


def split(
    snapshot: Snapshot,
    family: int,
    start: bytes,
    end: bytes | None,
    *,
    part_bytes: int,
    parts_max: int,
) -> list[RangeDigest]:
    """At most `parts_max` adjacent ranges of about `part_bytes` each, the first from `start` on.

    When they cover everything, the last of them ends at `end`. There is always one.
    """
    cursor = snapshot.encoded_scan(start, end, family=family)
    parts: list[RangeDigest] = []

    at, pending = start, b""
    while True:
        digest, size_bytes = hashlib.sha256(), 0
        boundary: bytes | None = None
        while True:
            page = pending
            if len(page) < part_bytes:
                page += cursor.encoded_page(part_bytes - len(page))
            digest.update(page)
            size_bytes += len(page)

            # One pair ahead: a range ends only where a short boundary parts its last pair from the next one.
            # Without such a boundary it goes on.
            pending = cursor.encoded_page(1)
            if not pending:
                break
            boundary = _boundary_before(_first_key(pending), page)
            if boundary is not None:
                break

        if not pending:
            parts.append(RangeDigest(at, end, size_bytes, digest.digest()))
            return parts

        assert boundary is not None
        parts.append(RangeDigest(at, boundary, size_bytes, digest.digest()))
        if len(parts) == parts_max:
            return parts
        at = boundary


def digest_ranges(
    snapshot: Snapshot, family: int, bounds: Sequence[bytes | None], *, bytes_max: int
) -> list[RangeDigest]:
    """The digests of the ranges between these boundaries.

    Of a range that holds more than `bytes_max` only the beginning is read; its size tells.
    """
    return [_digest(snapshot, family, start or b"", end, bytes_max) for start, end in pairwise(bounds)]


def list_entries(snapshot: Snapshot, family: int, start: bytes, end: bytes | None) -> Entries:
    """The first keys of a range with the digests of their values: about ENTRIES_BYTES_MAX of them, and fewer
    when more than READ_BYTES_MAX has to be read; one at least."""
    cursor = snapshot.encoded_scan(start, end, family=family)
    found: list[Entry] = []
    listed_bytes = read_bytes = 0
    while page := cursor.encoded_page(PAGE_BYTES):
        for key, value in _pairs(page):
            found.append(Entry(key, hashlib.sha256(value).digest()))
            listed_bytes += len(key) + _ENTRY_BYTES
            if listed_bytes >= ENTRIES_BYTES_MAX:
                return Entries(tuple(found), whole=False)
        read_bytes += len(page)
        if read_bytes >= READ_BYTES_MAX:
            return Entries(tuple(found), whole=False)
    return Entries(tuple(found), whole=True)


def _digest(snapshot: Snapshot, family: int, start: bytes, end: bytes | None, bytes_max: int) -> RangeDigest:
    cursor = snapshot.encoded_scan(start, end, family=family)
    digest, size_bytes = hashlib.sha256(), 0
    while size_bytes <= bytes_max and (page := cursor.encoded_page(PAGE_BYTES)):
        digest.update(page)
        size_bytes += len(page)
    return RangeDigest(start, end, size_bytes, digest.digest())


def _boundary_before(key: bytes, page: bytes) -> bytes | None:
    """A short boundary between the pairs of `page` and `key`, which follows them; None when there is none."""
    if len(key) <= BOUNDARY_BYTES_MAX:
        return key
    *_, (last, _) = _pairs(page)
    short = key[:BOUNDARY_BYTES_MAX]
    return short if last < short else None


def _first_key(page: bytes) -> bytes:
    (length, _) = _LENGTHS.unpack_from(page)
    return page[_LENGTHS.size : _LENGTHS.size + length]


def _pairs(page: bytes) -> Iterator[tuple[bytes, memoryview]]:
    view = memoryview(page)
    at = 0
    while at < len(page):
        key_length, value_length = _LENGTHS.unpack_from(page, at)
        middle = at + _LENGTHS.size + key_length
        yield page[at + _LENGTHS.size : middle], view[middle : middle + value_length]
        at = middle + value_length
