"""Rotten tables that are kept aside."""

from __future__ import annotations

from pathlib import Path

import pytest

from replicad.daemon.data.quarantine import DIRECTORY, TABLES_MAX, is_table_of, keep_aside
from replicad.store.table.meta import table_name
from replicad.types import FileNumber
from tests.support.files.memory_filesystem import MemoryFileSystem

DATA = Path("/data")


def names(fs: MemoryFileSystem) -> list[str]:
    return sorted(fs.list(DATA / DIRECTORY))


def test_the_newest_stay_as_they_were_found() -> None:
    """What was set aside survives the removal of the table, and old ones make room."""
    numbers = range(999_995, 999_995 + TABLES_MAX + 3)
    tables = [DATA / table_name(FileNumber(number)) for number in numbers]
    fs = MemoryFileSystem({str(table): table.name.encode() for table in tables})
    for table in tables:
        kept = keep_aside(fs, table)
        fs.unlink(table)
        assert fs.read_file(kept) == table.name.encode()
    assert names(fs) == sorted(table.name for table in tables[-TABLES_MAX:])


def test_a_number_that_came_back_is_another_table() -> None:
    """The later one takes the place of the one before."""
    table = DATA / table_name(FileNumber(7))
    fs = MemoryFileSystem({str(table): b"before"})
    keep_aside(fs, table)
    fs.unlink(table)
    file = fs.create(table)
    file.append(b"after")
    assert fs.read_file(keep_aside(fs, table)) == b"after"
    assert names(fs) == [table.name]


def test_a_table_that_is_gone() -> None:
    """It was repaired already, and nothing is kept."""
    fs = MemoryFileSystem({str(DATA / "CURRENT"): b"x"})
    with pytest.raises(FileNotFoundError):
        keep_aside(fs, DATA / table_name(FileNumber(7)))
    assert names(fs) == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/data/000007.sst", True),
        ("/data/MANIFEST-000001", False),
        ("/data/wal/0000000001-00000000000000000001.log", False),
        ("/data/bootstrap/incoming/000007.sst", False),
    ],
)
def test_only_tables_of_the_node_itself(path: str, expected: bool) -> None:
    """Not its log, and not what a copy brings."""
    assert is_table_of(DATA, Path(path)) is expected
