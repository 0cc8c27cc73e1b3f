"""Rot that a merge meets."""

from __future__ import annotations

from pathlib import Path

import pytest

from replicad import WriteBatch
from replicad.env import LocalFileSystem
from replicad.errors import CorruptionError
from replicad.store.database import open_database
from tests.support.inline_runner import InlineRunner, inline_env
from tests.support.stores.small import fill, small_options
from tests.support.stores.tampering import flip_byte
from tests.support.waiting import eventually


def test_compaction_stops_and_the_store_goes_on(tmp_path: Path) -> None:
    """A damaged input ends compaction, not the database: it says which file, reads and writes go on."""
    options = small_options(level0_compaction_tables=4, block_cache_bytes=0)
    with open_database(tmp_path / "db", options) as database:
        fill(database, 200)
        database.flush()
    damaged = flip_byte(tmp_path / "db")
    with open_database(tmp_path / "db", options) as database:
        for _ in range(6):
            fill(database, 200)
            database.flush()
        eventually(lambda: database.damage is not None)
        assert database.damage is not None and database.damage.path == damaged
        assert database.failed is None
        database.put(b"written", b"after")
        assert database.get(b"written") == b"after"
        with pytest.raises(CorruptionError):
            list(database.scan())


def test_writes_that_would_wait_for_a_damaged_table_are_refused(tmp_path: Path) -> None:
    """Nobody waits for a compaction that cannot be: the write says which file is damaged, and reads go on."""
    options = small_options(level0_compaction_tables=4, level0_stall_tables=8, block_cache_bytes=0)
    with open_database(tmp_path / "db", options) as database:
        fill(database, 200)
        database.flush()
    damaged = flip_byte(tmp_path / "db")
    with open_database(tmp_path / "db", options) as database:
        with pytest.raises(CorruptionError, match="promote a replica") as refused:
            for number in range(100_000):
                database.put(b"written-%06d" % number, b"v" * 100)
        assert refused.value.path == damaged and refused.value.offset is not None
        batch = WriteBatch()
        batch.put(b"refused", b"")
        for write in (database.write, database.submit):
            with pytest.raises(CorruptionError):
                write(batch)
        assert database.failed is None and database.refused is not None
        assert database.get(b"written-000000") is not None


def test_writers_that_wait_when_the_damage_is_found_are_refused(tmp_path: Path) -> None:
    """Compaction comes across it only after they began to wait: nothing else would wake them."""
    options = small_options(level0_compaction_tables=4, level0_stall_tables=8, block_cache_bytes=0)
    with open_database(tmp_path / "db", options) as database:
        fill(database, 200)
        database.flush()
    damaged = flip_byte(tmp_path / "db")
    runner = InlineRunner()
    env = inline_env(LocalFileSystem(), runner)
    database = open_database(tmp_path / "db", options, env=env)
    while database.stalled is None:
        database.submit_put(b"key-000001", b"v")
        with database._writer().core.write_lock:
            database._writer().applier.seal()
        while runner.run_one("flush"):
            pass
    assert database.damage is None and database.refused is None
    with pytest.raises(CorruptionError) as refused:
        database.put(b"key-000002", b"v")
    assert refused.value.path == damaged
    database.close()
