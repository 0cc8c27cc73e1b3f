"""A part of a value is what a slice of it would be, wherever the value lies."""

from __future__ import annotations

from pathlib import Path

import pytest

import replicad
from replicad.server.parts import part_of

VALUE = b"0123456789"
PLACES = (-100, -11, -10, -9, -1, 0, 1, 9, 10, 100)


@pytest.mark.parametrize("flushed", [False, True], ids=["memtable", "table"])
def test_a_part_of_a_value(tmp_path: Path, flushed: bool) -> None:
    """As GETRANGE counts: of the database, the newest state and a snapshot."""
    with replicad.open(tmp_path / "db") as database:
        database.put(b"k", VALUE)
        database.put(b"empty", b"")
        if flushed:
            database.flush()
        with database.snapshot() as snapshot:
            for reader in (database, database.newest, snapshot):
                for first in PLACES:
                    for last in PLACES:
                        assert reader.part(b"k", first, last) == part_of(VALUE, first, last), (first, last)
                        assert reader.part(b"empty", first, last) == (0, b"")
                        assert reader.part(b"absent", first, last) == (0, b"")
