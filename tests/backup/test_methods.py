"""One test for each method of the backup engine, under its name; docs/backup.md has RocksDB's beside it."""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import replicad
from replicad import (
    BackupEngine,
    BackupEngineOptions,
    BackupEngineReadOnly,
    ClosedError,
    NotFoundError,
    Progress,
    StoppedError,
)
from replicad.backup.archive.archiver import LogArchiver
from replicad.store.database import Database, open_database
from tests.support.stores.small import fill, small_options

PAGE = Path(__file__).resolve().parents[2] / "docs" / "backup.md"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with open_database(tmp_path / "db", small_options()) as database:
        fill(database, 300)
        yield database


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[BackupEngine]:
    with BackupEngine(tmp_path / "backups", BackupEngineOptions(sync=False)) as made:
        yield made


def methods() -> set[str]:
    """The public methods of both engines."""
    return {
        name for name, _ in inspect.getmembers(BackupEngine, inspect.isfunction) if not name.startswith("_")
    }


def test_every_method_has_a_test_and_a_line_in_the_page() -> None:
    """What is public is tested here under its name, and explained in docs/backup.md."""
    tests = [name.removeprefix("test_") for name in globals() if name.startswith("test_")]
    assert [name for name in methods() if not any(test.startswith(f"{name}_") for test in tests)] == []
    page = PAGE.read_text()
    assert {name for name in methods() if not re.search(rf"`{name}\b", page)} == set()


def test_create_backup_copies_what_the_target_lacks(engine: BackupEngine, db: Database) -> None:
    """Copies what the target lacks; metadata comes along; ids increase."""
    first = engine.create_backup(db, flush_before_backup=True, metadata=b"nightly")
    fill(db, 10, start=300)
    second = engine.create_backup(db, progress=lambda progress: None)
    assert (first.id, second.id, first.metadata) == (1, 2, b"nightly")
    assert second.position == db.position
    assert 0 < second.copied_bytes < second.size_bytes


def test_stop_backup_ends_the_backup_that_runs(engine: BackupEngine, db: Database) -> None:
    """Ends the backup that runs, in another thread too, and the engine makes the next one."""
    with pytest.raises(StoppedError):
        engine.create_backup(db, flush_before_backup=True, progress=lambda progress: engine.stop_backup())
    engine.write_limit.bytes_per_second = 1000
    failures: list[BaseException] = []
    begun = threading.Event()

    def create() -> None:
        try:
            engine.create_backup(db, attachments=lambda snapshot: begun.set() or [])  # type: ignore[func-returns-value]
        except StoppedError as error:
            failures.append(error)

    thread = threading.Thread(target=create)
    thread.start()
    assert begun.wait(30)
    engine.stop_backup()
    thread.join()
    assert failures
    engine.write_limit.bytes_per_second = None
    assert engine.create_backup(db).id > 0
    assert engine.verify_backups(checksums=True).ok


def test_get_backup_info_says_everything_about_each_backup(engine: BackupEngine, db: Database) -> None:
    """Everything about each backup, the exact position too; the sizes are those of the target."""
    made = [engine.create_backup(db) for _ in range(2)]
    assert [info.id for info in engine.get_backup_info()] == [1, 2]
    assert engine.get_backup_info()[1].position == made[1].position == db.position
    assert all(info.size_bytes >= info.own_bytes for info in made)


def test_get_latest_backup_info_is_that_of_the_newest(engine: BackupEngine, db: Database) -> None:
    """The newest, or None."""
    assert engine.get_latest_backup_info() is None
    engine.create_backup(db)
    last = engine.create_backup(db)
    latest = engine.get_latest_backup_info()
    assert latest is not None
    assert latest.id == last.id


def test_get_backup_names_every_file_with_its_digest(engine: BackupEngine, db: Database) -> None:
    """The files of a backup, each with name, size and digest."""
    info = engine.create_backup(db)
    meta = engine.get_backup(info.id)
    assert sum(file.size_bytes for file in meta.files) == info.size_bytes
    assert {"CURRENT"} <= {file.path for file in meta.files}
    with pytest.raises(NotFoundError):
        engine.get_backup(9)


def test_get_corrupted_backups_names_them_with_the_reason(engine: BackupEngine, db: Database) -> None:
    """A backup whose meta is damaged is named with the reason, and the others are listed as ever."""
    engine.create_backup(db)
    engine.create_backup(db)
    data = engine.target.read("meta/1.json")
    engine.target.write("meta/1.json", [data[:-40]])
    assert list(engine.get_corrupted_backups()) == [1]
    assert [info.id for info in engine.get_backup_info()] == [2]


def test_verify_backup_finds_wrong_sizes_and_with_checksums_wrong_contents(
    engine: BackupEngine, db: Database
) -> None:
    """Sizes always, also after reopening; contents with checksums."""
    engine.create_backup(db, flush_before_backup=True)
    name = next(iter(engine.target.list("shared_checksum/")))
    whole = engine.target.read(name)
    engine.target.write(name, [whole[:40] + bytes([whole[40] ^ 1]) + whole[41:]])
    assert engine.verify_backup(1).ok
    assert not engine.verify_backup(1, checksums=True).ok
    engine.target.write(name, [whole[:-1]])
    assert not BackupEngine(engine.target).verify_backup(1).ok


def test_verify_backups_names_all_that_a_damaged_table_breaks(engine: BackupEngine, db: Database) -> None:
    """Damage to one shared table names every backup that it breaks."""
    for _ in range(3):
        engine.create_backup(db, flush_before_backup=True)
    engine.target.delete([next(iter(engine.target.list("shared_checksum/")))])
    assert engine.verify_backups().broken == (1, 2, 3)


def test_verify_log_finds_a_gap_in_the_archived_log(engine: BackupEngine, db: Database) -> None:
    """The archived log of each database is whole from its oldest backup on."""
    archive(engine, db)
    engine.create_backup(db)
    fill(db, 10)
    archive(engine, db)
    (check,) = engine.verify_log(checksums=True)
    assert check.ok
    assert check.end == db.position


def test_has_base_only_once_there_is_a_backup_before_the_log(engine: BackupEngine, db: Database) -> None:
    """Nothing of it can be restored, until there is a backup that it goes on from."""
    archive(engine, db)
    (check,) = engine.verify_log()
    assert not check.gaps and not check.restorable and not check.ok
    assert not engine.has_base(db.database_id)
    engine.create_backup(db)
    fill(db, 10)
    archive(engine, db)
    (check,) = engine.verify_log()
    assert check.restorable and check.ok
    assert engine.has_base(db.database_id)


def test_restore_backup_restores_one_by_its_id(engine: BackupEngine, db: Database, tmp_path: Path) -> None:
    """One backup, by id."""
    engine.create_backup(db)
    expected = dict(db.scan())
    fill(db, 10, start=900)
    engine.create_backup(db)
    engine.restore_backup(1, tmp_path / "new")
    with replicad.open(tmp_path / "new", read_only=True) as restored:
        assert dict(restored.scan()) == expected


def test_restore_latest_backup_takes_the_newest_that_can_be_read(
    engine: BackupEngine, db: Database, tmp_path: Path
) -> None:
    """The newest that can be read."""
    engine.create_backup(db)
    expected = dict(db.scan())
    fill(db, 10, start=900)
    engine.create_backup(db)
    engine.target.write("meta/2.json", [b"damaged"])
    assert engine.restore_latest_backup(tmp_path / "new").id == 1
    with replicad.open(tmp_path / "new", read_only=True) as restored:
        assert dict(restored.scan()) == expected


def test_restore_to_ends_at_exactly_one_sequence_number(
    engine: BackupEngine, db: Database, tmp_path: Path
) -> None:
    """A backup and the log after it, to exactly one sequence number."""
    engine.create_backup(db)
    fill(db, 10, start=900)
    archive(engine, db)
    report = engine.restore_to(tmp_path / "new", sequence=305)
    assert report.position == db.position_at(305)


def test_open_backup_reads_a_backup_where_it_lies(engine: BackupEngine, db: Database) -> None:
    """Reads a backup where it lies."""
    engine.create_backup(db)
    expected = dict(db.scan())
    fill(db, 10, start=900)
    with engine.open_backup(1) as then:
        assert dict(then.scan()) == expected


def test_delete_backup_removes_the_files_that_only_it_needs(engine: BackupEngine, db: Database) -> None:
    """The files that only it needs go with it."""
    engine.create_backup(db, flush_before_backup=True)
    fill(db, 300)
    db.compact()
    engine.create_backup(db)
    before = sum(engine.target.list("shared_checksum/").values())
    assert engine.delete_backup(1).backups == (1,)
    assert sum(engine.target.list("shared_checksum/").values()) < before
    assert engine.verify_backups(checksums=True).ok


def test_delete_backups_removes_several_or_none_of_them(engine: BackupEngine, db: Database) -> None:
    """Several at once, or none of them when one is not there."""
    for _ in range(3):
        engine.create_backup(db)
    with pytest.raises(NotFoundError, match="holds no backup 9"):
        engine.delete_backups([1, 9])
    assert engine.delete_backups([3, 1, 1]).backups == (1, 3)
    assert [info.id for info in engine.get_backup_info()] == [2]


def test_purge_old_backups_keeps_the_newest(engine: BackupEngine, db: Database) -> None:
    """All but the newest N go; ids are not used again."""
    for _ in range(4):
        engine.create_backup(db)
    assert engine.purge_old_backups(2).backups == (1, 2)
    engine.purge_old_backups(0)
    assert engine.create_backup(db).id == 5


def test_purge_log_removes_log_from_before_the_backups_that_stay(engine: BackupEngine, db: Database) -> None:
    """Archived log before the backups that stay goes."""
    archive(engine, db)
    engine.create_backup(db)
    fill(db, 10)
    archive(engine, db)
    assert engine.purge_log(keep_backups=1) > 0
    (check,) = engine.verify_log()
    assert (check.ok, check.base) == (True, 1)


def test_delete_log_removes_all_log_of_a_database_without_backups(engine: BackupEngine, db: Database) -> None:
    """The log of a database without backups goes, all of it."""
    archive(engine, db)
    assert engine.delete_log(db.database_id) > 0
    assert engine.target.list("log/") == {}


def test_garbage_collect_removes_what_no_backup_needs(engine: BackupEngine, db: Database) -> None:
    """What no backup needs goes; what one needs stays."""
    engine.create_backup(db, flush_before_backup=True)
    engine.target.write("private/7/MANIFEST-000001", [b"of a backup that died"])
    assert engine.garbage_collect(0).files == 1
    assert engine.verify_backups(checksums=True).ok


def test_close_makes_the_engine_refuse_everything(tmp_path: Path, db: Database) -> None:
    """A closed engine refuses everything."""
    engine = BackupEngineReadOnly(tmp_path / "backups")
    engine.close()
    with pytest.raises(ClosedError):
        engine.get_backup_info()
    with pytest.raises(ClosedError):
        engine.verify_log()


def test_a_read_only_engine_leaves_the_target_as_it_is(
    engine: BackupEngine, db: Database, tmp_path: Path
) -> None:
    """BackupEngineReadOnly lists, verifies, opens and restores, and leaves the target as it is."""
    engine.create_backup(db)
    before = engine.target.list("")
    seen: list[Progress] = []
    with BackupEngineReadOnly(tmp_path / "backups") as reading:
        assert [info.id for info in reading.get_backup_info()] == [1]
        assert reading.verify_backups(checksums=True, progress=seen.append).ok
        reading.restore_latest_backup(tmp_path / "new", progress=seen.append)
    assert seen
    assert engine.target.list("") == before
    assert not hasattr(reading, "create_backup")


def archive(engine: BackupEngine, db: Database) -> None:
    assert db.wait_durable(db.appended_sequence, 30)
    archiver = LogArchiver(engine.target, db)
    while archiver.step():
        pass
    archiver.close()
