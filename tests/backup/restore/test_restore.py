"""Restores: exact, verified first, in place at the very end, and never over somebody else's data."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import replicad
from replicad import Options, WriteBatch
from replicad.backup.engine import BackupEngine
from replicad.backup.options import BackupEngineOptions
from replicad.backup.progress import Progress
from replicad.backup.read_only import BackupEngineReadOnly
from replicad.env import Env
from replicad.errors import (
    CorruptionError,
    DiskFullError,
    InvalidArgument,
    LockedError,
    NotFoundError,
    StoppedError,
)
from replicad.store.database import Database, open_database
from replicad.store.manifest.file import load
from tests.support.files.faulty_filesystem import FaultyFileSystem, io_error
from tests.support.stores.small import fill, small_options


def content(database: Database) -> dict[bytes, bytes]:
    return dict(database.scan())


def fill_random(database: Database, count: int) -> None:
    """Values that do not compress, so that there are several tables."""
    for number in range(count):
        database.put(b"key-%06d" % number, os.urandom(100))


def engine_of(tmp_path: Path, **options: Any) -> BackupEngine:
    return BackupEngine(tmp_path / "backups", BackupEngineOptions(sync=False, **options))


def test_restore_into_a_new_directory(tmp_path: Path) -> None:
    """What was backed up opens from the restored directory at its exact position, log and families too."""
    with (
        replicad.open(tmp_path / "db", small_options(block_bytes=2048)) as db,
        engine_of(tmp_path) as engine,
    ):
        other = db.create_family("other")
        fill(db, 800)
        db.put(b"k", b"of the other family", family=other)
        info = engine.create_backup(db)
        expected = content(db)
        fill(db, 10, start=5000)
        report = engine.restore_backup(info.id, tmp_path / "new")
    assert report.position == info.position
    assert report.fetched_bytes == report.size_bytes == info.size_bytes
    with replicad.open(tmp_path / "new", read_only=True) as restored:
        assert restored.position == info.position
        assert content(restored) == expected
        assert restored.get(b"k", family=other) == b"of the other family"
    options, _ = replicad.load_latest_options(tmp_path / "new")
    assert options.block_bytes == 2048
    assert not (tmp_path / "new" / "restore").exists()


def test_restore_keeps_what_is_there(tmp_path: Path) -> None:
    """Tables that the destination has already are not copied again; what it has written since is gone."""
    with replicad.open(tmp_path / "db", small_options()) as db, engine_of(tmp_path) as engine:
        fill_random(db, 3000)
        db.compact()
        info = engine.create_backup(db, flush_before_backup=True)
        expected = content(db)
        fill(db, 50)
    with engine_of(tmp_path) as engine:
        report = engine.restore_latest_backup(tmp_path / "db")
    assert report.kept_files >= 1
    assert report.fetched_bytes < 8000 < report.kept_bytes
    with replicad.open(tmp_path / "db") as restored:
        assert content(restored) == expected
        assert restored.latest_sequence == info.position.sequence


def test_a_backup_after_a_restore_leaves_later_ones_as_they_were(tmp_path: Path) -> None:
    """Restore 2 of 4, write on, back up again: 3 and 4 are as they were, and the new one is its own line."""
    states: dict[int, dict[bytes, bytes]] = {}
    with replicad.open(tmp_path / "db", small_options()) as db, engine_of(tmp_path) as engine:
        original = db.database_id
        for round in range(1, 5):
            fill(db, 300, start=round * 200, value=b"round %d" % round)
            states[engine.create_backup(db).id] = content(db)
    with engine_of(tmp_path) as engine:
        engine.restore_backup(2, tmp_path / "db")
        with replicad.open(tmp_path / "db", small_options()) as db:
            assert content(db) == states[2]
            assert db.database_id != original
            fill(db, 700, value=b"another line")
            states[engine.create_backup(db).id] = content(db)
            fill(db, 100, start=700)
            states[engine.create_backup(db, flush_before_backup=True).id] = content(db)
        assert list(states) == [1, 2, 3, 4, 5, 6]
        assert engine.verify_backups(checksums=True).ok
        assert len({info.database_id for info in engine.get_backup_info()}) == 2
        for id, expected in states.items():
            engine.restore_backup(id, tmp_path / f"restored-{id}")
            with replicad.open(tmp_path / f"restored-{id}", read_only=True) as restored:
                assert content(restored) == expected
        engine.delete_backup(5)
        engine.delete_backup(2)
        engine.garbage_collect(0)
        assert engine.verify_backups(checksums=True).ok


def test_a_replica_goes_on_from_it(tmp_path: Path) -> None:
    """Restoring changes no identity: a replica takes the primary's frames from exactly the next number."""
    with replicad.open(tmp_path / "db", small_options()) as db, engine_of(tmp_path) as engine:
        fill(db, 300)
        info = engine.create_backup(db)
        fill(db, 100, start=300)
        assert db.wait_durable(db.appended_sequence, 30)
        engine.restore_backup(info.id, tmp_path / "replica")
        with open_database(tmp_path / "replica", small_options(), role="replica") as replica:
            assert (replica.database_id, replica.position) == (db.database_id, info.position)
            cursor = db.read_log(info.position.sequence + 1)
            while (chunk := cursor.next()) is not None:
                replica.apply_frames(chunk.frames)
            cursor.close()
            assert replica.position == db.position
            assert content(replica) == content(db)


def test_a_directory_in_use(tmp_path: Path) -> None:
    """A directory that a process has open is refused with that process, and so is a daemon without data."""
    with replicad.open(tmp_path / "db", small_options()) as db, engine_of(tmp_path) as engine:
        fill(db, 10)
        engine.create_backup(db)
        with pytest.raises(LockedError, match="in use by process"):
            engine.restore_latest_backup(tmp_path / "db")
        with pytest.raises(LockedError, match="in use by process"):
            engine.restore_latest_backup(tmp_path / "db", dry_run=True)
        (tmp_path / "replica" / "state").mkdir(parents=True)
        lock = Env().fs.lock(tmp_path / "replica" / "state" / "daemon.lock")
        with pytest.raises(LockedError):
            engine.restore_latest_backup(tmp_path / "replica")
        lock.release()
        engine.restore_latest_backup(tmp_path / "replica")


def test_a_directory_of_something_else(tmp_path: Path) -> None:
    """A directory with other files and no database is refused, and a log directory of another database."""
    with replicad.open(tmp_path / "db", small_options()) as db, engine_of(tmp_path) as engine:
        fill(db, 10)
        engine.create_backup(db)
        (tmp_path / "home").mkdir()
        (tmp_path / "home" / "letter.txt").write_text("dear")
        with pytest.raises(InvalidArgument, match=r"letter\.txt"):
            engine.restore_latest_backup(tmp_path / "home")
        assert [path.name for path in (tmp_path / "home").iterdir()] == ["letter.txt"]
        with replicad.open(tmp_path / "other", small_options(wal_dir=tmp_path / "log")) as other:
            fill(other, 10)
        with pytest.raises(InvalidArgument, match="another database"):
            engine.restore_latest_backup(tmp_path / "new", wal_dir=tmp_path / "log")
    with pytest.raises(NotFoundError), BackupEngineReadOnly(tmp_path / "nothing") as empty:
        empty.restore_latest_backup(tmp_path / "new")


def test_the_log_in_a_directory_apart(tmp_path: Path) -> None:
    """`wal_dir` is where the log goes on, is remembered, and is used again by the next restore."""
    with replicad.open(tmp_path / "db", small_options()) as db, engine_of(tmp_path) as engine:
        fill(db, 100)
        engine.create_backup(db)
        expected = content(db)
        for _ in range(2):
            report = engine.restore_latest_backup(
                tmp_path / "new", wal_dir=tmp_path / "log" if not (tmp_path / "new").exists() else None
            )
            assert report.wal_dir == tmp_path / "log"
            options, _ = replicad.load_latest_options(tmp_path / "new")
            with replicad.open(tmp_path / "new", options) as restored:
                assert content(restored) == expected
                fill(restored, 10, start=500)
            assert list((tmp_path / "log").glob("*.log"))


@pytest.mark.parametrize("damage", ["table", "manifest", "no CURRENT"])
def test_over_a_damaged_database(tmp_path: Path, damage: str) -> None:
    """What is damaged at the destination is replaced; what is whole there is kept."""
    with replicad.open(tmp_path / "db", small_options()) as db, engine_of(tmp_path) as engine:
        fill_random(db, 3000)
        db.compact()
        engine.create_backup(db, flush_before_backup=True)
        expected = content(db)
    directory = tmp_path / "db"
    victim = max(
        directory.glob("*.sst" if damage == "table" else "MANIFEST-*"), key=lambda p: p.stat().st_size
    )
    if damage == "no CURRENT":
        (directory / "CURRENT").unlink()
    else:
        data = bytearray(victim.read_bytes())
        data[len(data) // 2] ^= 1
        victim.unlink()
        victim.write_bytes(data)
    with engine_of(tmp_path) as engine:
        report = engine.restore_latest_backup(directory)
    assert report.kept_files >= 1
    with replicad.open(directory) as restored:
        assert content(restored) == expected


def test_a_damaged_table_at_the_target_ends_the_restore(tmp_path: Path) -> None:
    """A table that is damaged at the target ends the restore with its name; the old database stays."""
    with replicad.open(tmp_path / "db", small_options()) as db, engine_of(tmp_path) as engine:
        db.create_checkpoint(tmp_path / "old")
        fill(db, 800)
        engine.create_backup(db, flush_before_backup=True)
    victim = max(
        (tmp_path / "backups" / "shared_checksum").glob("*.sst"), key=lambda path: path.stat().st_size
    )
    data = bytearray(victim.read_bytes())
    data[100] ^= 1
    victim.write_bytes(data)
    with replicad.open(tmp_path / "old", small_options()) as old:
        fill(old, 20)
        before = content(old)
    with engine_of(tmp_path) as engine:
        with pytest.raises(CorruptionError, match="damaged") as caught:
            engine.restore_latest_backup(tmp_path / "old")
        assert caught.value.path is not None
        assert caught.value.path.name == victim.name
        with replicad.open(tmp_path / "old") as old:
            assert content(old) == before
        data[100] ^= 1
        victim.write_bytes(data)
        again = engine.restore_latest_backup(tmp_path / "old")
        assert again.fetched_bytes < again.size_bytes, "what was verified before is used"


def test_a_disk_that_fails_leaves_the_old_database(tmp_path: Path) -> None:
    """Whatever write or sync fails, the old database opens; the next attempt goes on."""
    with replicad.open(tmp_path / "db", small_options()) as db, engine_of(tmp_path) as engine:
        db.create_checkpoint(tmp_path / "old")
        fill(db, 800)
        engine.create_backup(db)
        expected = content(db)
    with replicad.open(tmp_path / "old", small_options()) as old:
        fill(old, 20)
        before = content(old)
    fs = FaultyFileSystem()
    failures = 0
    for allowed in range(0, 400, 7):
        count = 0

        def fail(path: Path, allowed: int = allowed) -> None:
            nonlocal count
            count += 1
            if count > allowed and "backups" not in path.parts:
                io_error(path)

        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        shutil.copytree(tmp_path / "old", tmp_path / "copy")
        fs.on_append = fs.on_sync = fail
        with BackupEngineReadOnly(tmp_path / "backups", env=Env(fs=fs)) as failing:
            try:
                failing.restore_latest_backup(tmp_path / "copy")
            except (OSError, replicad.StoreError):
                failures += 1
                fs.on_append = fs.on_sync = None
                with replicad.open(tmp_path / "copy", read_only=True) as copy:
                    assert content(copy) in (before, expected)
                failing.restore_latest_backup(tmp_path / "copy")
        fs.on_append = fs.on_sync = None
        with replicad.open(tmp_path / "copy", read_only=True) as copy:
            assert content(copy) == expected
        if not failures or count <= allowed:
            break
    assert failures > 5


def test_without_room_nothing_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without room for what has to be fetched nothing is fetched."""
    with replicad.open(tmp_path / "db", small_options()) as db, engine_of(tmp_path) as engine:
        fill(db, 800)
        engine.create_backup(db)
        env = Env()
        monkeypatch.setattr(type(env.fs), "free_bytes", lambda fs, path: 1000)
        with pytest.raises(DiskFullError, match="1000 B are free"):
            engine.restore_latest_backup(tmp_path / "new")
        assert not (tmp_path / "new" / "CURRENT").exists()


def test_a_dry_run_says_what_would_be_done_and_makes_nothing(tmp_path: Path) -> None:
    """A dry run says what would be done and makes nothing, not even the directory."""
    with replicad.open(tmp_path / "db", small_options()) as db, engine_of(tmp_path) as engine:
        fill_random(db, 3000)
        db.compact()
        info = engine.create_backup(db, flush_before_backup=True)
        plan = engine.restore_latest_backup(tmp_path / "new", dry_run=True)
        assert not (tmp_path / "new").exists()
        assert (plan.dry_run, plan.position, plan.replaces) == (True, info.position, None)
        assert plan.fetched_bytes == info.size_bytes
        done = engine.restore_latest_backup(tmp_path / "new")
        assert done.fetched_bytes == plan.fetched_bytes
        before = sorted(path.name for path in (tmp_path / "new").iterdir())
        plan = engine.restore_latest_backup(tmp_path / "new", dry_run=True)
        assert plan.fetched_bytes < 8000
        assert plan.replaces == load(Env().fs, tmp_path / "new").database_id.hex()
        assert sorted(path.name for path in (tmp_path / "new").iterdir()) == before


def test_progress_comes_to_its_end_and_a_stopped_restore_leaves_the_old_data(tmp_path: Path) -> None:
    """Progress comes to its end; a stopped restore leaves the old data, and the engine usable."""
    seen: list[Progress] = []
    with (
        replicad.open(tmp_path / "db", small_options()) as db,
        engine_of(tmp_path, progress_bytes=1000) as engine,
    ):
        fill(db, 800)
        engine.create_backup(db)
        engine.restore_latest_backup(tmp_path / "new", progress=seen.append)
        assert seen[-1].bytes_done == seen[-1].bytes_total > 0
        assert seen[-1].files_done == seen[-1].files_total
        with pytest.raises(StoppedError):
            engine.restore_latest_backup(tmp_path / "two", progress=lambda progress: engine.stop_backup())
        assert not (tmp_path / "two" / "CURRENT").exists()
        engine.restore_latest_backup(tmp_path / "two")
        with replicad.open(tmp_path / "two", read_only=True) as restored:
            assert content(restored) == content(db)


def test_attachments_come_back(tmp_path: Path) -> None:
    """Attachments are restored with their backup; other files beside them stay."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a").write_bytes(b"one")
    (tmp_path / "files" / "b").write_bytes(b"two")
    with replicad.open(tmp_path / "db", small_options()) as db, engine_of(tmp_path) as engine:
        fill(db, 10)
        info = engine.create_backup(
            db, attachments=lambda snapshot: [tmp_path / "files" / "a", tmp_path / "files" / "b"]
        )
        assert info.attachment_count == 2
        place = tmp_path / "back"
        prefix = place / str(tmp_path).lstrip("/") / "files"
        prefix.mkdir(parents=True)
        (prefix / "a").write_bytes(b"changed")
        (prefix / "newer").write_bytes(b"stays")
        report = engine.restore_backup(info.id, tmp_path / "new", attachments=place)
    assert report.attachments == place
    assert {path.name: path.read_bytes() for path in prefix.iterdir()} == {
        "a": b"one",
        "b": b"two",
        "newer": b"stays",
    }
    assert {path.name for path in place.iterdir()} == {str(tmp_path).lstrip("/").split("/")[0]}


def test_a_batch_tail_that_is_large(tmp_path: Path) -> None:
    """The log of a backup is replayed with little memory and ends in tables."""
    options = small_options(memtable_bytes=4 << 20, segment_bytes=1 << 20)
    with replicad.open(tmp_path / "db", options) as db, engine_of(tmp_path) as engine:
        for number in range(60):
            batch = WriteBatch()
            for key in range(50):
                batch.put(b"%d-%d" % (number, key), b"x" * 900)
            db.write(batch)
        info = engine.create_backup(db)
        expected = content(db)
        engine.restore_latest_backup(tmp_path / "new")
    state = load(Env().fs, tmp_path / "new")
    assert state.flushed == state.synced == info.position
    assert state.copy
    with replicad.open(tmp_path / "new", Options(), read_only=True) as restored:
        assert content(restored) == expected


def test_nothing_is_restored_into_the_target_itself(tmp_path: Path) -> None:
    """Neither the database nor its log, under any name; and nothing is left there."""
    with replicad.open(tmp_path / "db", small_options()) as db, engine_of(tmp_path) as engine:
        fill(db, 10)
        engine.create_backup(db)
        (tmp_path / "link").symlink_to(tmp_path / "backups" / "shared_checksum")
        before = engine.target.list("")
        for place in (tmp_path / "backups" / "shared_checksum" / "x", tmp_path / "link" / "x"):
            with pytest.raises(InvalidArgument, match="lies within"):
                engine.restore_latest_backup(place)
        for log in (tmp_path / "backups", tmp_path / "backups" / "meta"):
            with pytest.raises(InvalidArgument, match="lies within"):
                engine.restore_latest_backup(tmp_path / "new", wal_dir=log)
        assert engine.target.list("") == before
    assert not (tmp_path / "new").exists()
