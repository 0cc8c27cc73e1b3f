"""Rot that a merge meets."""

from __future__ import annotations

from pathlib import Path

import pytest

from replicad.errors import CorruptionError
from replicad.store.database import open_database
from tests.support.stores import fill, small_options
from tests.support.tampering import flip_byte
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
