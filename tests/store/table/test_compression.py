"""Which blocks LZ4 is tried on, and that a table depends on nothing but its blocks."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

import replicad
from replicad import Database
from replicad.env.local import LocalFileSystem
from replicad.store.table import writer as table_writer
from replicad.store.table.compression import KNOWN_EVERY, CompressionTries
from replicad.store.table.format import BlockType, compress_block
from replicad.store.table.writer import WRITE_BYTES, TableWriter
from replicad.types import FileNumber
from tests.support.stores.small import small_options

KNOWN = "R" * (KNOWN_EVERY - 1)
NOT_TRIED = "." * (KNOWN_EVERY - 1)

CASES = [
    # s and S become smaller, r and R do not; a capital letter is a known block. Below: * is tried.
    ("ssssssss", "********"),
    ("rrrrrrrrrrrrrrr", "****.*...*....."),
    ("r" * 60, "****.*...*.......*...............*...............*.........."),
    ("rrrrssssss", "****.*****"),
    ("rrrsrrrrrr", "********.*"),
    ("RRRRRRRR", "........"),
    ("RsRsRrRs", ".*.*.*.*"),
    ("rrrrRRrr", "****...*"),
    (KNOWN + "RR", NOT_TRIED + "*."),
    (KNOWN + "SRRs", NOT_TRIED + "****"),
    (KNOWN + "SRRRRR", NOT_TRIED + "*****."),
]


@pytest.mark.parametrize("blocks, expected", CASES)
def test_only_some_of_the_blocks_that_stay_as_they_are_are_tried(blocks: str, expected: str) -> None:
    """After a row of misses every second block is tried, then every fourth, and at last every 16th."""
    tries = CompressionTries()
    found = ""
    for block in blocks:
        known = block.isupper()
        wanted = tries.wanted(known=known)
        if wanted:
            tries.tried(known=known, smaller=block in "sS")
        found += "*" if wanted else "."
    assert found == expected


def test_the_same_blocks_give_the_same_bytes(tmp_path: Path) -> None:
    """Blocks that become smaller and others, some longer than a write: each table of them is the same, and
    its blocks lie where their handles say."""
    blocks = _blocks(3)
    files = []
    for number in range(2):
        path = tmp_path / str(number)
        writer = TableWriter(LocalFileSystem(), path, FileNumber(1), bytes(16), compress=True)
        handles = [writer.add_block(block) for block in blocks]
        writer._drain()
        files.append(path.read_bytes())
    assert files[0] == files[1]
    for block, handle in zip(blocks, handles, strict=True):
        stored = files[0][handle.offset : handle.offset + handle.length]
        assert stored in (block, compress_block(block)[0])


def test_writes_begin_at_multiples_of_their_length(tmp_path: Path) -> None:
    """All writes of a table but the last have one length, whatever its blocks have."""
    writer = TableWriter(LocalFileSystem(), tmp_path / "t", FileNumber(1), bytes(16), compress=False)
    for block in _blocks(4):
        writer.add_block(block)
        assert (tmp_path / "t").stat().st_size == writer.offset // WRITE_BYTES * WRITE_BYTES


def _blocks(seed: int) -> list[bytes]:
    rng = random.Random(seed)
    sizes = [16_000, 100_000, 5, WRITE_BYTES, WRITE_BYTES - 5, 300_000, 1]
    return [rng.randbytes(size) if rng.random() < 0.7 else b"s" * size for size in sizes * 5]


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[BlockType]:
    """What came of each try of LZ4, data blocks and indexes."""
    found: list[BlockType] = []

    def noting(raw: bytes) -> tuple[bytes, BlockType]:
        payload, kind = compress_block(raw)
        found.append(kind)
        return payload, kind

    monkeypatch.setattr(table_writer, "compress_block", noting)
    return found


def test_a_compaction_does_not_try_again_what_did_not_become_smaller(
    tmp_path: Path, tried: list[BlockType]
) -> None:
    """It tries one of 32 such blocks, and all others: each of these becomes smaller again."""
    rng = random.Random(7)
    with _open(tmp_path, "lz4") as database:
        _put_in_two_tables(database, lambda number: rng.randbytes(900) if number < 400 else b"v" * 900)
        packed, tables = tried.count(BlockType.LZ4), database.stats()["tables"]
        tried.clear()
        database.compact()
        again = tried.count(BlockType.LZ4)
        assert abs(again - packed) <= tables + database.stats()["tables"]
        assert tried.count(BlockType.RAW) <= 400 / KNOWN_EVERY + 1


def test_blocks_of_tables_without_compression_are_tried(tmp_path: Path, tried: list[BlockType]) -> None:
    """They are stored as they are because nobody tried: the first compaction with LZ4 makes them smaller."""
    with _open(tmp_path, "none") as database:
        _put_in_two_tables(database, lambda number: b"v" * 900)
    assert not tried
    with _open(tmp_path, "lz4") as database:
        before = database.stats()["table_bytes"]
        database.compact()
        assert database.stats()["table_bytes"] < before / 5


def _open(tmp_path: Path, compression: str) -> Database:
    options = small_options(
        compression=compression,
        memtable_bytes=4 << 20,
        table_bytes=4 << 20,
        level0_compaction_tables=10,
        level0_stall_tables=20,
    )
    return replicad.open(tmp_path / "db", options)


def _put_in_two_tables(database: Database, value: Callable[[int], bytes]) -> None:
    """800 pairs, one block each or a part of one; those of the two tables alternate."""
    for parity in (0, 1):
        for number in range(parity, 800, 2):
            database.put(b"key-%06d" % number, value(number))
        database.flush()
