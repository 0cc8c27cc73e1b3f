"""A manifest that has grown starts a new file; a full disk must not stop it."""

from __future__ import annotations

from pathlib import Path

import pytest

from replicad.env import Env
from replicad.errors import DiskFullError, InvalidArgument
from replicad.store.database import open_database
from replicad.store.manifest import file as manifest_file
from replicad.store.manifest.edit import Edit
from replicad.store.manifest.file import ManifestWriter, decode_current, decode_records, load
from replicad.store.manifest.state import ManifestState
from replicad.types import DatabaseId, Epoch, EpochRecord, FileNumber
from tests.store.compaction.test_picker import table
from tests.store.manifest.test_manifest import position
from tests.support.files.faulty_filesystem import Fault, FaultyFileSystem, io_error, no_space
from tests.support.stores.small import fill, small_options

ID = DatabaseId(bytes(range(16)))
ROTATE_BYTES = 1000
LARGE = tuple(EpochRecord(Epoch(number), bytes(16), position(1)) for number in range(1, 50))


@pytest.fixture(autouse=True)
def _low_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_file, "ROTATE_BYTES", ROTATE_BYTES)


def only(name: str, fault: Fault) -> Fault:
    def strike(path: Path) -> None:
        if path.name.startswith(name):
            fault(path)

    return strike


def grown(tmp_path: Path, fs: FaultyFileSystem) -> ManifestWriter:
    """A writer whose next edit starts a new file."""
    writer = ManifestWriter(fs, tmp_path, ManifestState(database_id=ID))
    writer.append(Edit(epochs=LARGE))
    assert writer.size_bytes > ROTATE_BYTES
    return writer


@pytest.mark.parametrize("name", ["MANIFEST-000002", "CURRENT.tmp"])
@pytest.mark.parametrize("call", ["on_append", "on_sync"])
def test_a_rotation_without_room_waits(tmp_path: Path, name: str, call: str) -> None:
    """The old file grows on and stays the one that counts; the next edit after there is room rotates."""
    fs = FaultyFileSystem()
    writer = grown(tmp_path, fs)
    setattr(fs, call, only(name, no_space))
    writer.append(Edit(add=(table(4, 0, "a", "b"),)))
    assert writer.path.name == "MANIFEST-000001"
    assert load(fs, tmp_path) == writer.state
    setattr(fs, call, None)
    writer.append(Edit(flushed=position(7)))
    assert writer.path.name == "MANIFEST-000002"
    assert [path.name for path in tmp_path.glob("MANIFEST-*")] == ["MANIFEST-000002"]
    state = load(fs, tmp_path)
    assert state == writer.state
    assert [meta.number for meta in state.tables] == [4] and state.flushed == position(7)
    writer.abandon()


def test_no_room_at_all_changes_nothing(tmp_path: Path) -> None:
    """When the old file cannot grow either the edit is refused, as if it had not been tried."""
    fs = FaultyFileSystem()
    writer = grown(tmp_path, fs)
    before = writer.state
    fs.on_append = no_space
    for _ in range(2):
        with pytest.raises(DiskFullError):
            writer.append(Edit(flushed=position(7)))
        assert writer.state == load(fs, tmp_path) == before
    fs.on_append = None
    writer.append(Edit(flushed=position(7)))
    assert load(fs, tmp_path).flushed == position(7)
    writer.abandon()


def test_a_rotation_that_fails_otherwise_is_an_error(tmp_path: Path) -> None:
    """Only a full disk is waited out."""
    fs = FaultyFileSystem()
    writer = grown(tmp_path, fs)
    fs.on_sync = only("MANIFEST-000002", io_error)
    with pytest.raises(OSError, match="Input/output"):
        writer.append(Edit(flushed=position(7)))
    writer.abandon()


def test_a_large_state_is_not_written_at_each_edit(tmp_path: Path) -> None:
    """A manifest whose state alone is beyond the limit rotates when it has doubled."""
    writer = ManifestWriter(FaultyFileSystem(), tmp_path, ManifestState(database_id=ID, epochs=LARGE))
    names = set()
    for sequence in range(1, 5):
        writer.append(Edit(flushed=position(sequence)))
        names.add(writer.path.name)
    assert names == {"MANIFEST-000001"}
    for sequence in range(5, 8):
        writer.append(Edit(epochs=LARGE, flushed=position(sequence)))
    assert writer.path.name == "MANIFEST-000002"
    assert load(FaultyFileSystem(), tmp_path) == writer.state
    writer.abandon()


def test_the_store_lives_through_it(tmp_path: Path) -> None:
    """Flushes that cannot rotate the manifest are done all the same, and nothing is poisoned."""
    fs = FaultyFileSystem()
    with open_database(tmp_path / "db", small_options(), env=Env(fs=fs)) as database:
        fs.on_append = only("CURRENT.tmp", no_space)
        for turn in range(8):
            fill(database, 200, start=turn * 200)
            database.flush()
        assert database.failed is None and database.stalled is None
        fs.on_append = None
        fill(database, 1, start=1600)
        database.flush()
    with open_database(tmp_path / "db", small_options()) as again:
        assert sum(1 for _ in again.scan()) == 1601 and again.notes == []


def test_more_tables_than_a_record_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new file holds them in several records, all of them durable when CURRENT names it."""
    monkeypatch.setattr(manifest_file, "TABLES_A_RECORD", 3)
    fs = FaultyFileSystem()
    tables = tuple(table(number, 1, f"{number:03}", f"{number:03}") for number in range(2, 10))
    state = ManifestState(database_id=ID, tables=tables, next_file=FileNumber(10))
    writer = ManifestWriter(fs, tmp_path, state)
    assert load(fs, tmp_path) == writer.state
    assert writer.state.tables == tables
    data = writer.path.read_bytes()
    assert len(decode_records(data, ID)[0]) == 3
    assert decode_current((tmp_path / "CURRENT").read_bytes()) == (writer.path.name, len(data))


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (Edit(epochs=(EpochRecord(Epoch(2), b"short", position(1)),)), "not 16 bytes"),
        (Edit(epochs=LARGE), "at most 1000 bytes"),
    ],
)
def test_what_could_not_be_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edit: Edit, reason: str
) -> None:
    """It is not written, and the writer goes on."""
    monkeypatch.setattr(manifest_file, "RECORD_BYTES_MAX", 1000)
    fs = FaultyFileSystem()
    writer = ManifestWriter(fs, tmp_path, ManifestState(database_id=ID))
    with pytest.raises(InvalidArgument, match=reason):
        writer.append(edit)
    writer.append(Edit(flushed=position(7)))
    assert load(fs, tmp_path) == writer.state
