"""Which blocks LZ4 is tried on, and that a table depends on nothing but its blocks."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest

import replicad
from replicad import Database, kernels
from replicad.env.local import LocalFileSystem
from replicad.store.table.format import TRAILER_BYTES, BlockHandle
from replicad.store.table.writer import WRITE_BYTES, TableWriter
from replicad.types import FamilyId, FileNumber
from tests.support.oracle.block import PUT, Entry
from tests.support.stores.sealed_blocks import seal_block
from tests.support.stores.small import small_options
from tests.support.stores.tables import merger_of

TABLE_ID = b"t" * 16
KNOWN_EVERY = 32
"""So often the kernel tries a known block all the same."""
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
    sealer = kernels.BlockSealer(bytes(16), True)
    rng = random.Random(1)
    found = ""
    for block in blocks:
        raw = b"s" * 100 if block in "sS" else rng.randbytes(100)
        before = sealer.tried
        sealer.add_data(raw, incompressible=block.isupper())
        found += "*" if sealer.tried > before else "."
    assert found == expected


@pytest.mark.parametrize("compress", [True, False])
def test_blocks_lie_where_their_handles_say(compress: bool) -> None:
    """Blocks that become smaller and others, some longer than a write: each is sealed as the format says, so
    the same blocks give the same bytes."""
    sealer = kernels.BlockSealer(TABLE_ID, compress)
    blocks = _blocks(3)
    handles = [BlockHandle(*sealer.add_data(block)) for block in blocks]
    length, table = sealer.offset, sealer.take()
    assert len(table) == length
    for block, handle in zip(blocks, handles, strict=True):
        sealed = table[handle.offset : handle.offset + handle.length + TRAILER_BYTES]
        raw, compressed = kernels.open_block(sealed, TABLE_ID, *handle)
        assert raw == block
        assert seal_block(block, TABLE_ID, handle.offset, compress=compressed) == (sealed, handle)
    assert (sealer.compressed > 0) == compress


def test_a_block_that_one_sixteenth_is_saved_of_is_compressed() -> None:
    """Less is not worth the work of each reading."""
    for sevenths, expected in ((0, False), (1, True)):
        raw = random.Random(1).randbytes(7000 - sevenths * 1000) + b"s" * sevenths * 1000
        sealer = kernels.BlockSealer(TABLE_ID, True)
        sealer.add_data(raw)
        assert (sealer.compressed == 1) is expected


def test_writes_begin_at_multiples_of_their_length(tmp_path: Path) -> None:
    """All writes of a table but the last have one length, whatever its blocks have."""
    lengths = []
    rng = random.Random(4)
    entries = [
        Entry(b"%06d" % number, 1, PUT, rng.randbytes(rng.choice([10, 1000, WRITE_BYTES, 3 * WRITE_BYTES])))
        for number in range(40)
    ]
    writer = TableWriter(LocalFileSystem(), tmp_path / "t", FileNumber(1), TABLE_ID, compress=False)
    merger = merger_of(entries, block_bytes=4096)
    while True:
        event = merger.run(WRITE_BYTES)
        writer.add_blocks(merger)
        lengths.append((tmp_path / "t").stat().st_size)
        assert lengths[-1] == writer.offset // WRITE_BYTES * WRITE_BYTES
        if event == kernels.MERGE_TABLE_END:
            break
    meta = writer.finish(merger.finish_table(), FamilyId(0), 0, 0)
    data = (tmp_path / "t").read_bytes()
    assert len(lengths) > 10
    assert (len(data), hashlib.sha256(data).digest()) == (meta.size_bytes, meta.sha256)


def _blocks(seed: int) -> list[bytes]:
    rng = random.Random(seed)
    sizes = [16_000, 100_000, 5, WRITE_BYTES, WRITE_BYTES - 5, 300_000, 1]
    return [rng.randbytes(size) if rng.random() < 0.7 else b"s" * size for size in sizes * 5]


class Sealers:
    """The sealers of all tables that were written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.all: list[kernels.BlockSealer] = []
        made = kernels.BlockSealer

        def make(table_id: bytes, compress: bool) -> kernels.BlockSealer:
            self.all.append(made(table_id, compress))
            return self.all[-1]

        monkeypatch.setattr(kernels, "BlockSealer", make)

    @property
    def tried(self) -> int:
        return sum(sealer.tried for sealer in self.all)

    @property
    def compressed(self) -> int:
        return sum(sealer.compressed for sealer in self.all)


@pytest.fixture
def sealers(monkeypatch: pytest.MonkeyPatch) -> Sealers:
    return Sealers(monkeypatch)


def test_a_compaction_does_not_try_again_what_did_not_become_smaller(
    tmp_path: Path, sealers: Sealers
) -> None:
    """It tries one of 32 such blocks, and all others: each of these becomes smaller again."""
    rng = random.Random(7)
    with _open(tmp_path, "lz4") as database:
        _put_in_two_tables(database, lambda number: rng.randbytes(900) if number < 400 else b"v" * 900)
        packed, tables = sealers.compressed, database.stats()["tables"]
        sealers.all.clear()
        database.compact()
        assert abs(sealers.compressed - packed) <= tables + database.stats()["tables"]
        assert sealers.tried - sealers.compressed <= 400 / KNOWN_EVERY + 1


def test_blocks_of_tables_without_compression_are_tried(tmp_path: Path, sealers: Sealers) -> None:
    """They are stored as they are because nobody tried: the first compaction with LZ4 makes them smaller."""
    with _open(tmp_path, "none") as database:
        _put_in_two_tables(database, lambda number: b"v" * 900)
    assert not sealers.tried
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
