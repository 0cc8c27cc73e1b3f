"""Digests of key ranges."""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from replicad.store import ranges
from replicad.store.database import Database, open_database
from replicad.store.ranges import BOUNDARY_BYTES_MAX, digest_ranges, list_entries, split
from tests.support.stores.small import fill, small_options


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(tmp_path / "db", small_options()) as opened:
        yield opened


def encoded(pairs: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join(struct.pack("<II", len(key), len(value)) + key + value for key, value in pairs)


def whole(database: Database, *, part_bytes: int, family: int = 0) -> list[tuple[bytes, bytes | None]]:
    """All parts of a family, checked against the pairs that a scan gives."""
    found: list[tuple[bytes, bytes | None]] = []
    with database.snapshot() as snapshot:
        at: bytes | None = b""
        while at is not None:
            parts = split(snapshot, family, at, None, part_bytes=part_bytes, parts_max=3)
            assert 1 <= len(parts) <= 3
            for part in parts:
                assert part.start == at
                data = encoded(list(snapshot.scan(part.start, part.end, family=family)))
                assert part.digest == hashlib.sha256(data).digest()
                assert part.size_bytes == len(data)
                found.append((part.start, part.end))
                at = part.end
            bounds = [parts[0].start, *(part.end for part in parts)]
            assert digest_ranges(snapshot, family, bounds, bytes_max=1 << 30) == parts
    return found


def test_parts_cover_everything_once(database: Database) -> None:
    """Adjacent parts of about the size asked for cover all keys, in memtables and tables."""
    fill(database, 2000)
    database.flush()
    fill(database, 500, start=1500, value=b"w" * 50)
    parts = whole(database, part_bytes=8192)
    assert len(parts) > 20


def test_nothing_is_one_empty_part(database: Database) -> None:
    """An empty family has one part, which ends where it was told to."""
    family = database.create_family("empty")
    assert whole(database, part_bytes=100, family=family) == [(b"", None)]
    with database.snapshot() as snapshot:
        (part,) = split(snapshot, family, b"a", b"b", part_bytes=100, parts_max=5)
    assert (part.start, part.end, part.size_bytes) == (b"a", b"b", 0)


def test_the_same_pairs_have_the_same_digests_in_other_tables(database: Database, tmp_path: Path) -> None:
    """How a node has flushed and compacted does not show, nor what was overwritten and deleted before."""
    fill(database, 1000)
    database.compact()
    with open_database(tmp_path / "other", small_options()) as other:
        numbers = list(range(1000))
        random.Random(7).shuffle(numbers)
        for number in numbers:
            other.put(b"key-%06d" % number, b"old")
            other.put(b"gone-%06d" % number, b"old")
        for number in reversed(range(1000)):
            fill(other, 1, start=number)
            other.delete(b"gone-%06d" % number)
        with database.snapshot() as one, other.snapshot() as two:
            parts = split(one, 0, b"", None, part_bytes=4096, parts_max=1000)
            bounds = [b"", *(part.end for part in parts)]
            assert digest_ranges(two, 0, bounds, bytes_max=1 << 20) == parts


def test_boundaries_are_short(database: Database) -> None:
    """Long keys are parted by a beginning of theirs; those that no beginning parts stay together."""
    for number in range(40):
        database.put(b"%04d" % number + b"x" * 5000, b"v" * 100)
        database.put(b"same" + b"y" * 5000 + b"%04d" % number, b"v" * 100)
    parts = whole(database, part_bytes=100)
    assert all(len(end) <= BOUNDARY_BYTES_MAX for _, end in parts if end is not None)
    assert 40 <= len(parts) <= 42


def test_a_range_that_is_too_large_is_not_read_whole(database: Database) -> None:
    """The size of what was read says that there is more than was allowed."""
    for number in range(50):
        database.put(b"%d" % number, b"v" * 200_000)
    with database.snapshot() as snapshot:
        (part,) = digest_ranges(snapshot, 0, [b"", None], bytes_max=100_000)
    assert 100_000 < part.size_bytes < 3_000_000


def test_listings_are_bounded(database: Database) -> None:
    """A listing gives every key of a small range, and the first ones of a large one."""
    fill(database, 100)
    with database.snapshot() as snapshot:
        listed = list_entries(snapshot, 0, b"key-000010", b"key-000013")
        assert listed.whole
        assert [entry.key for entry in listed.entries] == [b"key-%06d" % n for n in (10, 11, 12)]
        assert listed.entries[0].digest == hashlib.sha256(b"v" * 100 + b"-10").digest()
    for number in range(12_000):
        database.submit_put(b"more-%06d" % number, b"")
    database.flush()
    with database.snapshot() as snapshot:
        listed = list_entries(snapshot, 0, b"more", None)
    assert not listed.whole
    assert 8_000 < len(listed.entries) < 12_000


def test_a_listing_reads_a_bounded_part_of_large_values(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where values are large a listing ends early, after one key at least, and goes on behind its last."""
    monkeypatch.setattr(ranges, "READ_BYTES_MAX", 3_000_000)
    names = [b"%02d" % number for number in range(12)]
    for name in names:
        database.put(name, b"v" * 1_000_000)
    at, found, listings = b"", [], 0
    with database.snapshot() as snapshot:
        while True:
            listed = list_entries(snapshot, 0, at, None)
            assert listed.entries or listed.whole
            found += [entry.key for entry in listed.entries]
            listings += 1
            if listed.whole:
                break
            at = found[-1] + b"\0"
    assert found == names
    assert 4 <= listings <= 6
