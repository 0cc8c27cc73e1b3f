"""Where the log is: an opening that names another directory never loses what only the log holds."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import replicad
from replicad.env import Env, LocalFileSystem
from replicad.errors import ConfigError, CorruptionError, InvalidArgument
from replicad.store.copies.checkpoint import install
from replicad.store.manifest.edit import Edit
from replicad.store.manifest.file import ManifestWriter, load
from replicad.types import HistoryHash, Position
from tests.support.stores.small import as_after_kill, fill, small_options


def killed_with_a_log_apart(tmp_path: Path) -> tuple[Path, Path]:
    """(database, its log): the last of three writes is in the log only."""
    with replicad.open(tmp_path / "db", small_options(durability="sync", wal_dir=tmp_path / "log")) as db:
        db.put(b"a", b"1")
        db.flush()
        db.put(b"b", b"2")
        killed = as_after_kill(tmp_path / "db", tmp_path / "killed")
        shutil.copytree(tmp_path / "log", tmp_path / "killed-log")
    return killed, tmp_path / "killed-log"


@pytest.mark.parametrize("read_only", [False, True])
def test_log_left_in_another_directory(tmp_path: Path, read_only: bool) -> None:
    """Without the log's directory the opening is refused, and the error names both; with it all is there."""
    killed, log = killed_with_a_log_apart(tmp_path)
    both = f"{re.escape(str(tmp_path / 'log'))}, not in {re.escape(str(killed / 'wal'))}"
    with pytest.raises(ConfigError, match=both):
        replicad.open(killed, small_options(), read_only=read_only)
    with replicad.open(killed, small_options(wal_dir=log), read_only=read_only) as db:
        assert list(db.scan()) == [(b"a", b"1"), (b"b", b"2")]


def test_log_that_was_moved(tmp_path: Path) -> None:
    """A log whose segments were moved is found at its new place, which is remembered."""
    killed, log = killed_with_a_log_apart(tmp_path)
    shutil.rmtree(killed / "wal", ignore_errors=True)
    shutil.rmtree(tmp_path / "log")
    log.rename(killed / "wal")
    with replicad.open(killed, small_options()) as db:
        assert db.get(b"b") == b"2"
        fill(db, 5)
    with pytest.raises(ConfigError):
        replicad.open(killed, small_options(wal_dir=tmp_path / "log"))


def test_log_that_tables_hold(tmp_path: Path) -> None:
    """A flushed database may go on with a log elsewhere: the old log is needed for nothing."""
    with replicad.open(tmp_path / "db", small_options(wal_dir=tmp_path / "log")) as db:
        fill(db, 20)
        db.flush()
    for wal_dir in (None, tmp_path / "log"):
        with replicad.open(tmp_path / "db", small_options(wal_dir=wal_dir)) as db:
            assert sum(1 for _ in db.scan()) == 20
            db.put(b"key-000000", b"")
            db.flush()


def test_log_of_another_history(tmp_path: Path) -> None:
    """A log that ends where it should, and is not the one that was synced, is corruption."""
    with replicad.open(tmp_path / "db", small_options()) as db:
        fill(db, 5)
    fs = LocalFileSystem()
    state = load(fs, tmp_path / "db")
    writer = ManifestWriter(fs, tmp_path / "db", state)
    writer.append(Edit(synced=Position(state.synced.epoch, state.synced.sequence, HistoryHash(1))))
    writer.abandon()
    with pytest.raises(CorruptionError, match="another history"):
        replicad.open(tmp_path / "db", small_options())


@pytest.mark.parametrize("wal_dir", [".", "archive", os.fsdecode(b"log\xff")])
def test_directories_that_cannot_be_the_logs(tmp_path: Path, wal_dir: str) -> None:
    """They are refused before anything is made."""
    with pytest.raises(InvalidArgument, match="wal_dir"):
        replicad.open(tmp_path / "db", small_options(wal_dir=tmp_path / "db" / wal_dir))
    assert not (tmp_path / "db").exists()


def test_a_relative_log_directory_is_kept_as_the_one_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From another working directory the same words mean another place: that is said, and nothing is lost."""
    monkeypatch.chdir(tmp_path)
    with replicad.open(tmp_path / "db", small_options(wal_dir=Path("log"))) as db:
        fill(db, 5)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="wal_dir"):
        replicad.open(tmp_path / "db", small_options(wal_dir=Path("log")))
    options, _ = replicad.load_latest_options(tmp_path / "db")
    assert options.wal_dir == tmp_path / "log"
    with replicad.open(tmp_path / "db", options) as db:
        assert sum(1 for _ in db.scan()) == 5


def original_with_a_log_apart(tmp_path: Path, log: Path) -> None:
    """Closed at `tmp_path / "db"`, its log at `log`; a checkpoint and a backup from before its last write."""
    with replicad.open(tmp_path / "db", small_options(wal_dir=log)) as db:
        db.put(b"a", b"1")
        db.create_checkpoint(tmp_path / "copy")
        with replicad.BackupEngine(tmp_path / "backups") as engine:
            engine.create_backup(db)
        db.put(b"b", b"2")


def open_copy(tmp_path: Path, log: Path) -> None:
    replicad.open(tmp_path / "copy", small_options(wal_dir=log)).close()


def restore_beside(tmp_path: Path, log: Path) -> None:
    with replicad.BackupEngine(tmp_path / "backups") as engine:
        engine.restore_latest_backup(tmp_path / "restored", wal_dir=log)


def restore_over_copy(tmp_path: Path, log: Path) -> None:
    with replicad.BackupEngine(tmp_path / "backups") as engine:
        engine.restore_latest_backup(tmp_path / "copy", wal_dir=log)


def put_in_place(tmp_path: Path, log: Path) -> None:
    install(Env(), tmp_path / "copy", tmp_path / "replica", log)


@pytest.mark.parametrize("use", [open_copy, restore_beside, restore_over_copy, put_in_place])
def test_a_copy_never_takes_the_log_of_its_original(
    tmp_path: Path, use: Callable[[Path, Path], None]
) -> None:
    """Another database with the log directory of one that is closed is refused, and nothing is lost."""
    log = tmp_path / "log"
    original_with_a_log_apart(tmp_path, log)
    with pytest.raises((ConfigError, InvalidArgument), match="has the log of the database in"):
        use(tmp_path, log)
    with replicad.open(tmp_path / "db", small_options(wal_dir=log)) as db:
        assert list(db.scan()) == [(b"a", b"1"), (b"b", b"2")]


def test_a_database_that_was_renamed_keeps_its_log(tmp_path: Path) -> None:
    """The directory that the log names is gone then; a link to the database is no other one either."""
    log = tmp_path / "log"
    original_with_a_log_apart(tmp_path, log)
    (tmp_path / "db").rename(tmp_path / "renamed")
    (tmp_path / "link").symlink_to(tmp_path / "renamed")
    for name in ("renamed", "link", "renamed"):
        with replicad.open(tmp_path / name, small_options(wal_dir=log)) as db:
            assert list(db.scan()) == [(b"a", b"1"), (b"b", b"2")]
