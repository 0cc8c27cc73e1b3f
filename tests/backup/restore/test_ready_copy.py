"""A backup and the log after it, made ready to be put in place: whole or not there, whatever happens."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import replicad
from replicad import BackupEngine
from replicad.backup.archive.archiver import LogArchiver
from replicad.backup.archive.log import look_at_log
from replicad.backup.backup_list import read_meta
from replicad.backup.directory_target import DirectoryTarget
from replicad.backup.names import BackupId
from replicad.backup.restore.ready_copy import CopyMaker, Done
from replicad.backup.stop import OperationStop
from replicad.env import Env, ThreadRateLimiter
from replicad.errors import CorruptionError, DiskFullError, InvalidArgument, NotFoundError, StoppedError
from replicad.store.copies.checkpoint import install
from replicad.store.database import open_database
from replicad.types import Sequence
from tests.support.files.power_loss import Died, MortalFileSystem
from tests.support.stores.small import fill, small_options

Content = dict[bytes, bytes]


def content(directory: Path) -> Content:
    with replicad.open(directory, read_only=True) as database:
        return dict(database.scan())


class Prepared:
    """A target with one backup and the log after it."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "backups"
        with (
            open_database(directory / "db", small_options()) as database,
            BackupEngine(self.root) as engine,
        ):
            archiver = LogArchiver(engine.target, database)
            fill(database, 300, value=os.urandom(60))
            database.compact()
            engine.create_backup(database)
            self.at_backup = dict(database.scan())
            fill(database, 300, start=200)
            self.goal = database.position
            self.content = dict(database.scan())
            assert database.wait_durable(database.appended_sequence, 30)
            while archiver.step():
                pass
            archiver.close()
        self.reported: list[Done] = []
        self.stop = OperationStop("the restore")

    def maker(self, place: Path, env: Env | None = None, *, with_log: bool = True) -> CopyMaker:
        env = env or Env()
        target = DirectoryTarget(env, self.root)
        meta = read_meta(target, BackupId(1))
        log = look_at_log(target, meta.database_id, meta.epochs)
        return CopyMaker(
            env,
            target,
            meta,
            log.from_base(meta.position, Sequence(self.goal.sequence)).pieces if with_log else (),
            place,
            workers=1,
            read_limit=ThreadRateLimiter(env.clock, None),
            write_limit=ThreadRateLimiter(env.clock, None),
            stop=self.stop,
            report=self.reported.append,
        )

    def tables(self) -> list[Path]:
        return sorted((self.root / "shared_checksum").iterdir())


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    return Prepared(tmp_path)


def test_it_ends_where_the_log_ends(prepared: Prepared, tmp_path: Path) -> None:
    """The progress grows up to its total, and what is put in place is the database at that position."""
    made = prepared.maker(tmp_path / "r" / "restore").make()
    assert made.position == prepared.goal
    assert made.fetched_bytes > 0 and made.log_bytes > 0
    sizes = [done.size_bytes for done in prepared.reported]
    assert sizes == sorted(sizes)
    assert prepared.reported[-1].size_bytes == prepared.reported[-1].size_bytes_total
    assert not (tmp_path / "r" / "CURRENT").exists()
    install(Env(), made.path, tmp_path / "r")
    assert content(tmp_path / "r") == prepared.content


@pytest.mark.long
def test_death_at_every_operation(prepared: Prepared, tmp_path: Path) -> None:
    """Killed or without power there is no database, or the whole one; the next attempt makes it whole.

    Without log: a database that replays it has threads, which do not die with the test's file system."""
    at, empty = 0, 0
    while True:
        root = tmp_path / f"{at}"
        root.mkdir()
        fs = MortalFileSystem(dies_at=at)
        fs.begin_with(root)
        env = Env(fs=fs)
        try:
            install(env, prepared.maker(root / "restore", env, with_log=False).make().path, root)
            ended = True
        except Died:
            ended = False
        for left in (root, fs.left_by_power_loss(root, tmp_path / f"{at}-dark")):
            if (left / "CURRENT").exists():
                assert content(left) == prepared.at_backup
            else:
                empty += 1
                install(Env(), prepared.maker(left / "restore").make().path, left)
                assert content(left) == prepared.content
            shutil.rmtree(left)
        if ended:
            break
        at += 1
    assert at > 30
    assert empty > 30


def test_an_interrupted_one_goes_on_with_what_was_verified(prepared: Prepared, tmp_path: Path) -> None:
    """It is stopped when a file has come, and that file is not fetched again."""
    place = tmp_path / "r" / "restore"
    maker = prepared.maker(place)
    whole = prepared.reported

    def stop_at_first_file(done: Done) -> None:
        if done.files:
            prepared.stop.request()

    maker._report = stop_at_first_file
    with pytest.raises(StoppedError):
        maker.make()
    here = sum(path.stat().st_size for path in (place / "files").iterdir() if path.suffix != ".part")
    assert 0 < here < sum(file.size_bytes for file in maker._meta.database_files)
    prepared.stop = OperationStop("the restore")
    whole.clear()
    made = prepared.maker(place).make()
    assert whole[0].size_bytes == here
    assert made.fetched_bytes + here + made.log_bytes == whole[-1].size_bytes_total


def test_what_an_interrupted_one_left_is_not_believed(prepared: Prepared, tmp_path: Path) -> None:
    """A file that was damaged since is fetched again."""
    place = tmp_path / "r" / "restore"
    prepared.maker(place).make()
    table = max((place / "files").iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(table.read_bytes())
    data[len(data) // 2] ^= 1
    table.unlink()
    table.write_bytes(data)
    made = prepared.maker(place).make()
    assert made.fetched_bytes == len(data)
    install(Env(), made.path, tmp_path / "r")
    assert content(tmp_path / "r") == prepared.content


def test_a_damaged_table_is_refused_by_name(prepared: Prepared, tmp_path: Path) -> None:
    table = max(prepared.tables(), key=lambda path: path.stat().st_size)
    data = bytearray(table.read_bytes())
    data[len(data) // 2] ^= 1
    table.write_bytes(data)
    with pytest.raises(CorruptionError, match=table.name):
        prepared.maker(tmp_path / "r" / "restore").make()
    assert not (tmp_path / "r" / "restore" / "database").exists()


def test_a_missing_table_is_named(prepared: Prepared, tmp_path: Path) -> None:
    table = prepared.tables()[0]
    table.unlink()
    with pytest.raises(NotFoundError, match=table.name):
        prepared.maker(tmp_path / "r" / "restore").make()


def test_a_disk_without_room_is_refused_first(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is fetched that would not fit."""
    env = Env()
    monkeypatch.setattr(type(env.fs), "free_bytes", lambda self, path: 1000)
    with pytest.raises(DiskFullError, match="1000 B are free"):
        prepared.maker(tmp_path / "r" / "restore", env).make()
    assert list((tmp_path / "r" / "restore" / "files").iterdir()) == []


def test_nothing_is_restored_into_the_target(prepared: Prepared) -> None:
    with pytest.raises(InvalidArgument, match="lies within"):
        prepared.maker(prepared.root / "meta" / "restore").make()
