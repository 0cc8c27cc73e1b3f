"""Every kind of target keeps the one contract."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

import replicad
from replicad import DiskFullError, InvalidArgument, NotFoundError
from replicad.backup.directory_target import DirectoryTarget
from replicad.backup.fsspec_target import FsspecTarget
from replicad.backup.open_target import open_target
from replicad.backup.target import Target, ages_seconds
from replicad.env import Env, LocalFileSystem
from replicad.errors import ConfigError, TargetError
from tests.support.files.faulty_filesystem import FaultyFileSystem, no_space
from tests.support.manual_clock import ManualClock


@pytest.fixture(params=["directory", "memory"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    where: dict[str, str | Path] = {
        "directory": tmp_path / "target",
        "memory": f"memory://{uuid.uuid4().hex}",
    }
    return open_target(where[request.param], Env())


def grown_old(path: Path, seconds: float) -> None:
    """As the clock of the file system sees it."""
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def broken() -> Iterator[bytes]:
    yield b"some"
    raise RuntimeError("no more")


def test_what_was_written_is_there(target: Target) -> None:
    """A file is listed with its size, and read whole or in part."""
    target.write("meta/1.json", [b"one ", b"two"])
    target.write("private/1/wal/a.log", [])
    assert target.list("") == {"meta/1.json": 7, "private/1/wal/a.log": 0}
    assert target.list("private/") == {"private/1/wal/a.log": 0}
    assert target.list("shared_checksum/") == {}
    assert target.read("meta/1.json") == b"one two"
    assert target.read("meta/1.json", 4) == b"two"
    assert target.read("meta/1.json", 1, 2) == b"ne"
    assert target.read("meta/1.json", 5, 100) == b"wo"
    assert (target.size("meta/1.json"), target.size("meta/2.json")) == (7, None)


def test_a_second_write_takes_the_place_of_the_first(target: Target) -> None:
    """The second content takes the place of the first."""
    target.write("meta/catalog.json", [b"a longer one"])
    target.write("meta/catalog.json", [b"new"])
    assert target.read("meta/catalog.json") == b"new"


def test_a_broken_write_leaves_nothing(target: Target) -> None:
    """When the content cannot be had, what was there before is as it was."""
    with pytest.raises(RuntimeError):
        target.write("meta/1.json", broken())
    assert target.list("") == {}
    target.write("meta/1.json", [b"old"])
    with pytest.raises(RuntimeError):
        target.write("meta/1.json", broken())
    assert target.read("meta/1.json") == b"old"
    assert target.list("") == {"meta/1.json": 3}


def test_deleting_what_is_gone_is_fine(target: Target) -> None:
    """Names that are not there are passed over, and the rest goes."""
    target.write("attachments/aa", [b"x"])
    target.delete(["attachments/bb", "attachments/aa", "private/9/CURRENT"])
    target.delete([])
    assert target.list("") == {}


def test_reading_what_is_not_there(target: Target) -> None:
    """A missing file is a typed error with its name."""
    with pytest.raises(NotFoundError, match=r"meta/7\.json"):
        target.read("meta/7.json")


@pytest.mark.parametrize("name", ["/etc/passwd", "a/../../b", "a//b", "./a"])
def test_names_stay_beneath(target: Target, name: str) -> None:
    """A name that leads elsewhere is refused."""
    with pytest.raises(InvalidArgument):
        target.write(name, [b""])
    with pytest.raises(InvalidArgument):
        target.read(name)


def test_a_full_directory_says_so(tmp_path: Path) -> None:
    """No room is a typed error, and leaves nothing behind."""
    fs = FaultyFileSystem()
    target = DirectoryTarget(Env(fs=fs), tmp_path / "target")
    fs.on_append = no_space
    with pytest.raises(DiskFullError):
        target.write("meta/1.json", [b"some"])
    assert [path for path in (tmp_path / "target").rglob("*") if path.is_file()] == []


def test_directory_removes_what_was_cut_short(tmp_path: Path) -> None:
    """What a killed writer left goes by its age, whatever its clock said, and is never listed."""
    target = DirectoryTarget(Env(), tmp_path)
    half = tmp_path / "tmp" / f"{5:016d}-00000000000000aa"
    half.parent.mkdir()
    half.write_bytes(b"half")
    (tmp_path / "tmp" / "notes").write_bytes(b"somebody's")
    assert target.list("") == {}
    assert target.remove_unfinished(60) == 0
    grown_old(half, 61)
    assert target.remove_unfinished(60) == 1
    half.write_bytes(b"half")
    assert target.remove_unfinished(0) == 1
    assert [path.name for path in (tmp_path / "tmp").iterdir()] == ["notes"]


@pytest.mark.parametrize("kind", ["directory", "memory"])
def test_ages_are_by_the_clock_of_the_target(tmp_path: Path, kind: str) -> None:
    """Whatever the clock of whoever asks."""
    clock = ManualClock()
    where = tmp_path if kind == "directory" else f"memory://{uuid.uuid4().hex}"
    target = open_target(where, Env(clock=clock))
    target.write("meta/1.json", [b"x"])
    for clock.wall in (0, 1 << 60):
        assert 0 <= ages_seconds(target, ["meta/1.json", "meta/gone.json"])["meta/1.json"] < 30
    assert list(target.list("")) == ["meta/1.json"]
    if kind == "directory":
        grown_old(tmp_path / "meta" / "1.json", 100)
        assert 100 <= ages_seconds(target, ["meta/1.json"])["meta/1.json"] < 130


def test_a_directory_goes_only_when_it_is_empty(tmp_path: Path) -> None:
    """Who writes into a directory while its last file is removed finds it, or makes it again."""

    class Meeting(LocalFileSystem):
        def files(self, path: Path) -> dict[str, int]:
            found = super().files(path)
            other.write("log/aa/2.log", [b"new"])
            return found

        def remove_directory(self, path: Path) -> bool:
            other.write("log/aa/2.log", [b"new"])
            return super().remove_directory(path)

    class Removing(LocalFileSystem):
        removed = False

        def rename(self, source: Path, target: Path) -> None:
            if not self.removed:
                self.removed = True
                target.parent.rmdir()
            super().rename(source, target)

    other = DirectoryTarget(Env(), tmp_path)
    target = DirectoryTarget(Env(fs=Meeting()), tmp_path)
    other.write("log/aa/1.log", [b"old"])
    target.delete(["log/aa/1.log"])
    assert other.list("log/") == {"log/aa/2.log": 3}
    DirectoryTarget(Env(fs=Removing()), tmp_path).write("private/1/CURRENT", [b"x"])
    assert other.size("private/1/CURRENT") == 1


def test_directories_of_deleted_backups_go(tmp_path: Path) -> None:
    """A private directory goes with its last file, and its siblings stay."""
    target = DirectoryTarget(Env(), tmp_path)
    for name in ("private/1/CURRENT", "private/1/wal/a.log", "private/2/CURRENT"):
        target.write(name, [b"x"])
    target.delete(["private/1/CURRENT"])
    assert (tmp_path / "private" / "1" / "wal").is_dir()
    target.delete(["private/1/wal/a.log"])
    assert [path.name for path in (tmp_path / "private").iterdir()] == ["2"]


def test_memory_is_one_store() -> None:
    """Two targets of one URL see the same files."""
    url = f"memory://{uuid.uuid4().hex}"
    FsspecTarget(url).write("meta/1.json", [b"x"])
    assert FsspecTarget(url).list("meta/") == {"meta/1.json": 1}


@pytest.mark.parametrize(
    "where", ["file://{}", "local://{}", "file://localhost{}", "FILE://{}/", "file:///{}"]
)
def test_a_local_url_is_a_directory(tmp_path: Path, where: str) -> None:
    """With its syncs, and with its check that backups are not among a database's files."""
    fs = FaultyFileSystem()
    target = open_target(where.format(tmp_path / "target"), Env(fs=fs))
    assert isinstance(target, DirectoryTarget) and target.root == tmp_path / "target"
    target.write("meta/1.json", [b"x"])
    assert fs.syncs


@pytest.mark.parametrize("where", ["simplecache::file:///{}", "dir::file://{}", "filecache::memory://x"])
def test_chains_of_places_are_refused(tmp_path: Path, where: str) -> None:
    """What is written through a cache or a prefix is neither whole nor synced."""
    with pytest.raises(ConfigError, match="not a chain"):
        open_target(where.format(tmp_path), Env())


def test_a_local_place_behind_another_scheme_is_refused(tmp_path: Path) -> None:
    """Whatever a library registers: a directory of this machine goes through its path."""
    import fsspec
    from fsspec.implementations.dirfs import DirFileSystem
    from fsspec.implementations.local import LocalFileSystem as Local

    class Behind(DirFileSystem):  # type: ignore[misc]
        def __init__(self, **options: object) -> None:
            super().__init__(str(tmp_path), Local())

    fsspec.register_implementation("behind", Behind, clobber=True)
    with pytest.raises(ConfigError, match="write its path"):
        open_target("behind://x/y", Env())


@pytest.mark.parametrize(
    "place", ["db", "db/x", "db/archive/deeper", "link", "link/x", "other/../db/x", "deep/x", "wal/x"]
)
@pytest.mark.parametrize("prefix", ["", "file://"])
def test_backups_are_never_among_the_files_of_a_database(tmp_path: Path, place: str, prefix: str) -> None:
    """Whatever name leads there, and wherever its log is."""
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "db")
    (tmp_path / "deep").symlink_to(tmp_path / "db" / "archive")
    with replicad.open(tmp_path / "db", replicad.Options(wal_dir=tmp_path / "wal")) as database:
        database.put(b"k", b"v")
        with replicad.BackupEngine(f"{prefix}{tmp_path}/{place}") as engine:
            with pytest.raises(InvalidArgument, match="a directory of their own"):
                engine.create_backup(database)
            with database.cut() as cut, pytest.raises(InvalidArgument, match="a directory of their own"):
                engine.create_backup(cut)


def test_a_database_is_never_among_the_files_of_backups(tmp_path: Path) -> None:
    """A target whose own directories would be the database's is refused; one beside it is not."""
    with replicad.open(tmp_path / "log") as database:
        with replicad.BackupEngine(tmp_path) as engine, pytest.raises(InvalidArgument, match="of their own"):
            engine.create_backup(database)
        with replicad.BackupEngine(tmp_path / "backups") as engine:
            engine.create_backup(database)


class Unreachable:
    """A store whose library raises whatever it raises."""

    protocol = ("s3", "s3a")

    def __init__(self, error: Exception) -> None:
        self.error = error

    def invalidate_cache(self) -> None:
        pass

    def __getattr__(self, name: str) -> object:
        def fail(*arguments: object, **options: object) -> object:
            raise self.error

        return fail


class NoCredentialsError(Exception):
    """As botocore's."""


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NoCredentialsError("Unable to locate credentials"), "there are no credentials"),
        (PermissionError("Forbidden"), "access is refused"),
        (OSError(111, "Connect call failed"), "cannot be reached"),
        (ValueError("Invalid endpoint:\nmore"), "ValueError: Invalid endpoint:$"),
        (ValueError(), "unexpected ValueError$"),
    ],
)
def test_a_store_that_cannot_be_used_says_so_in_one_line(error: Exception, words: str) -> None:
    """Every request, with what to look at, whatever the library raised."""
    target = FsspecTarget("memory://x")
    target.url, target._fs = "s3://bucket/x", Unreachable(error)
    target._protocol, target._at_once = "s3", False
    for ask in (
        lambda: target.list("meta/"),
        lambda: target.size("meta/1.json"),
        lambda: target.read("meta/1.json"),
        lambda: target.write("meta/1.json", [b"x"]),
        lambda: target.delete(["meta/1.json"]),
        lambda: replicad.BackupEngine(target).get_backup_info(),
    ):
        with pytest.raises(TargetError, match=f"s3://bucket/x: .*{words}"):
            ask()


def test_an_error_of_the_source_stays_what_it_is() -> None:
    """What is raised while the content is had is no error of the target."""
    target = FsspecTarget("memory://x")
    with pytest.raises(RuntimeError, match="no more"):
        target.write("meta/1.json", broken())


def test_a_bucket_that_is_not_there_is_no_empty_one() -> None:
    """It is said, by whoever looks for backups in it."""

    class Empty(Unreachable):
        def find(self, path: str, detail: bool) -> object:
            raise FileNotFoundError(path)

        def exists(self, path: str) -> bool:
            return False

    target = FsspecTarget("memory://x")
    target.url, target._fs, target._root = "s3://bucket/x", Empty(OSError("?")), "bucket/x"
    target._protocol = "s3"
    with pytest.raises(TargetError, match="there is no bucket 'bucket'"):
        replicad.BackupEngineReadOnly(target).get_backup_info()
