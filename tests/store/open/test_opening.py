"""What opening reads, and when the damage that it did not look at shows."""

from __future__ import annotations

from pathlib import Path

import pytest

import replicad
from replicad.env import Env, LocalFileSystem, ReadFile
from replicad.env.local import LocalReadFile
from replicad.errors import CorruptionError
from replicad.store.database import open_database
from replicad.store.open.opening import REPLAYED_SEGMENTS_MAX
from replicad.store.table.file import read_footer
from tests.support.stores.small import fill, small_options
from tests.support.waiting import eventually


class CountingFileSystem(LocalFileSystem):
    """Counts the bytes that are read out of each file, by its name."""

    def __init__(self) -> None:
        self.read: dict[str, int] = {}

    def open(self, path: Path) -> ReadFile:
        return _CountedFile(path, self.read)


class _CountedFile(LocalReadFile):
    def __init__(self, path: Path, read: dict[str, int]) -> None:
        super().__init__(path)
        self._read = read

    def read(self, offset: int, length: int, /) -> bytes:
        data = super().read(offset, length)
        self._count(len(data))
        return data

    def read_into(self, offset: int, buffer: memoryview, /) -> int:
        count = super().read_into(offset, buffer)
        self._count(count)
        return count

    def _count(self, size_bytes: int) -> None:
        self._read[self.path.name] = self._read.get(self.path.name, 0) + size_bytes


def made(path: Path, count: int = 2000) -> Path:
    """A database, settled and closed, whose log is in the archive."""
    with replicad.open(path, small_options()) as database:
        fill(database, count)
        database.compact()
    return path


def test_opening_reads_no_table_and_no_archived_log(tmp_path: Path) -> None:
    """However much there is: tables by name and size, of archived segments the headers, until a read asks."""
    archived = [path.name for path in (made(tmp_path / "db") / "archive").iterdir()]
    fs = CountingFileSystem()
    with open_database(tmp_path / "db", small_options(), env=Env(fs=fs)) as database:
        assert len(list((tmp_path / "db").glob("*.sst"))) > 1
        assert not [name for name in fs.read if name.endswith(".sst")]
        assert all(fs.read.get(name, 0) <= 64 for name in archived)
        assert database.get(b"key-000000") is not None
        assert len([name for name in fs.read if name.endswith(".sst")]) == 1
        assert database.latest_sequence == 2000


@pytest.mark.parametrize("part", ["index", "filter", "footer"])
def test_damage_outside_the_data_shows_at_the_first_read(tmp_path: Path, part: str) -> None:
    """A damaged index, filter or footer is a CorruptionError of the call that needs it: file and offset."""
    made(tmp_path / "db")
    path = min((tmp_path / "db").glob("*.sst"))
    file = LocalFileSystem().open(path)
    _, filter_handle, index_handle, _ = read_footer(file, file.size())
    offset = {
        "index": index_handle.offset,
        "filter": filter_handle.offset,
        "footer": file.size() - 80,
    }[part]
    data = bytearray(path.read_bytes())
    data[offset + 1] ^= 1
    path.write_bytes(data)
    with replicad.open(tmp_path / "db", small_options()) as database:
        with pytest.raises(CorruptionError) as caught:
            for number in range(2000):
                database.get(b"key-%06d" % number)
        assert (caught.value.path, caught.value.offset) == (path, offset)


def test_a_missing_or_cut_table_is_found_at_opening(tmp_path: Path) -> None:
    """What its name and size tell needs no reading."""
    made(tmp_path / "db")
    path = min((tmp_path / "db").glob("*.sst"))
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with pytest.raises(CorruptionError, match="table size"):
        replicad.open(tmp_path / "db", small_options())
    path.unlink()
    with pytest.raises(CorruptionError, match="missing"):
        replicad.open(tmp_path / "db", small_options())


def test_log_whose_archiving_was_cut_short_is_read(tmp_path: Path) -> None:
    """A segment that still has its live name is no proof that tables hold it: its frames are replayed."""
    with replicad.open(tmp_path / "db", small_options(memtable_bytes=1 << 20)) as database:
        fill(database, 50)
    live = min((tmp_path / "db" / "wal").glob("*.log"))
    (tmp_path / "db" / "archive").mkdir(exist_ok=True)
    (tmp_path / "db" / "archive" / live.name).hardlink_to(live)
    with replicad.open(tmp_path / "db", small_options()) as database:
        assert sum(1 for _ in database.scan()) == 50


def test_many_short_sessions_do_not_make_openings_long(tmp_path: Path) -> None:
    """Each leaves a segment; when there are many an opening flushes them, and the next reads few."""
    for number in range(3 * REPLAYED_SEGMENTS_MAX):
        with replicad.open(tmp_path / "db", small_options()) as database:
            database.put(b"%03d" % number, b"v")
    with replicad.open(tmp_path / "db", small_options()) as database:
        eventually(lambda: len(list((tmp_path / "db" / "wal").glob("*.log"))) <= REPLAYED_SEGMENTS_MAX)
        assert sum(1 for _ in database.scan()) == 3 * REPLAYED_SEGMENTS_MAX
