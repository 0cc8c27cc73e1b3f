"""Attachments come back under their names, whatever those are, beside what is there already."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

import replicad
from replicad import Attachment, BackupEngine, CorruptionError, InvalidArgument
from replicad.backup.meta import decode_meta, encode_meta
from replicad.backup.restore import operation
from tests.support.stores.small import small_options


@pytest.fixture
def engine(tmp_path: Path) -> BackupEngine:
    return BackupEngine(tmp_path / "backups")


def backed_up(engine: BackupEngine, directory: Path, contents: Mapping[str, bytes]) -> int:
    """The id of a backup with attachments of these names."""
    items = []
    directory.mkdir(exist_ok=True)
    for number, (name, content) in enumerate(contents.items()):
        path = directory / f"{number}"
        path.write_bytes(content)
        items.append(Attachment(path, name, hashlib.sha256(content).digest()))
    with replicad.open(directory / "db", small_options()) as database:
        database.put(b"k", b"v")
        return engine.create_backup(database, attachments=lambda snapshot: items).id


def found(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


NAMES = ["a", "a.part", ".restore/x", "restore/files/y", "CURRENT", "LOCK", "n" * 255, "new\nline", "d/e/f"]


def test_names_like_ours_come_back(engine: BackupEngine, tmp_path: Path) -> None:
    """Names that a restore could use itself are the application's, into a new place and over an old one."""
    contents = {name: name.encode() * 1000 for name in NAMES}
    id = backed_up(engine, tmp_path / "app", contents)
    assert engine.verify_backup(id, checksums=True).ok
    for _ in range(2):
        engine.restore_backup(id, tmp_path / "new")
        assert found(tmp_path / "new" / "attachments") == contents
    (tmp_path / "new" / "attachments" / "a").write_bytes(b"another")
    engine.restore_backup(id, tmp_path / "new")
    assert found(tmp_path / "new" / "attachments") == contents


def test_contents_that_changed_places(engine: BackupEngine, tmp_path: Path) -> None:
    """Two that exchange contents, and a third with the content of one, are each a file of its own."""
    place = tmp_path / "files"
    first = backed_up(engine, tmp_path / "app", {"a": b"one", "b": b"two", "c": b"three"})
    second = backed_up(engine, tmp_path / "app", {"a": b"two", "b": b"one", "c": b"one"})
    engine.restore_backup(first, tmp_path / "new", attachments=place)
    engine.restore_backup(second, tmp_path / "new", attachments=place)
    assert found(place) == {"a": b"two", "b": b"one", "c": b"one"}
    (place / "b").open("ab").write(b" changed in place")
    assert found(place)["c"] == b"one"
    engine.restore_backup(first, tmp_path / "new", attachments=place)
    assert found(place) == {"a": b"one", "b": b"two", "c": b"three"}


def test_what_an_interrupted_restore_gathered(
    engine: BackupEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The restore of another backup takes it by content, though names exchanged their contents meanwhile."""
    first = backed_up(engine, tmp_path / "app", {"a": b"one", "b": b"two"})
    second = backed_up(engine, tmp_path / "app", {"a": b"two", "b": b"one"})

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(operation, "build", interrupted)
        engine.restore_backup(first, tmp_path / "new")
    report = engine.restore_backup(second, tmp_path / "new")
    assert found(tmp_path / "new" / "attachments") == {"a": b"two", "b": b"one"}
    assert {file.path for file in engine.get_backup(second).attachments} == {"a", "b"}
    assert report.kept_bytes >= 6


def test_what_is_right_is_left_as_it_is(engine: BackupEngine, tmp_path: Path) -> None:
    """An attachment that is there with its content is neither fetched nor written."""
    place = tmp_path / "files"
    id = backed_up(engine, tmp_path / "app", {"a": b"one", "b": b"two"})
    engine.restore_backup(id, tmp_path / "new", attachments=place)
    before = (place / "a").stat().st_mtime_ns, (place / "a").stat().st_ino
    (place / "b").unlink()
    report = engine.restore_backup(id, tmp_path / "other", attachments=place)
    assert ((place / "a").stat().st_mtime_ns, (place / "a").stat().st_ino) == before
    assert found(place) == {"a": b"one", "b": b"two"}
    assert report.kept_files == 1


@pytest.mark.parametrize("obstacle", ["a directory for a file", "a file for a directory", "somebody's files"])
def test_obstacles_are_found_first(engine: BackupEngine, tmp_path: Path, obstacle: str) -> None:
    """What keeps an attachment from its place is named before anything is changed."""
    id = backed_up(engine, tmp_path / "app", {"a": b"one", "d/b": b"two"})
    engine.restore_backup(id, tmp_path / "new")
    place = tmp_path / "new" / "attachments"
    if obstacle == "a directory for a file":
        (place / "a").unlink()
        (place / "a").mkdir()
    elif obstacle == "a file for a directory":
        (place / "d" / "b").unlink()
        (place / "d").rmdir()
        (place / "d").write_bytes(b"mine")
    else:
        (place / ".replicad-restore").mkdir()
        (place / ".replicad-restore" / "mine").write_bytes(b"mine")
    with replicad.open(tmp_path / "new") as database:
        database.put(b"k", b"newer")
    before = found(tmp_path / "new")
    for dry_run in (True, False):
        with pytest.raises(InvalidArgument, match=str(place)):
            engine.restore_backup(id, tmp_path / "new", dry_run=dry_run)
    assert found(tmp_path / "new") == before


def test_never_among_files_of_ours(engine: BackupEngine, tmp_path: Path) -> None:
    """Attachments do not go into the database, its log or the target, however that is written."""
    id = backed_up(
        engine, tmp_path / "app", {"CURRENT": b"mine", "new/CURRENT": b"mine", "meta/1.json": b"mine"}
    )
    new, log = tmp_path / "new", tmp_path / "log"
    (tmp_path / "link").symlink_to(new)
    for place in (new, new / "wal", tmp_path / "link", new / "x" / "..", log, tmp_path, tmp_path / "backups"):
        with pytest.raises(InvalidArgument, match="attachment"):
            engine.restore_backup(id, new, wal_dir=log, attachments=place)
    assert not (new / "CURRENT").exists()
    engine.restore_backup(id, new, wal_dir=log, attachments=new / "attachments" / "deeper")
    assert engine.verify_backup(id, checksums=True).ok


@pytest.mark.parametrize(
    ("names", "words"), [({"b": "a/b"}, "needs a directory"), ({"b": "A"}, "differ only in case")]
)
def test_a_list_that_cannot_be_restored(
    engine: BackupEngine, tmp_path: Path, names: Mapping[str, str], words: str
) -> None:
    """A verification says so, and a restore before it begins; another program may have written it."""
    id = backed_up(engine, tmp_path / "app", {"a": b"one", "b": b"two"})
    meta = decode_meta(engine.target.read(f"meta/{id}.json"))
    files = tuple(replace(file, path=names.get(file.path, file.path)) for file in meta.files)
    engine.target.write(f"meta/{id}.json", [encode_meta(replace(meta, files=files))])
    (problem,) = engine.verify_backup(id).problems
    assert words in problem.reason and problem.backups == (id,)
    with pytest.raises(CorruptionError, match=words):
        engine.restore_backup(id, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_manifest_of_another_backup(engine: BackupEngine, tmp_path: Path) -> None:
    """A verification of every byte also asks whether the files belong together."""
    one = backed_up(engine, tmp_path / "app", {})
    with replicad.open(tmp_path / "app" / "db", small_options()) as database:
        database.put(b"k", b"v2")
        two = engine.create_backup(database, flush_before_backup=True).id
    old, new = engine.get_backup(one), engine.get_backup(two)
    foreign = [file for file in old.files if file.path.startswith(("MANIFEST-", "CURRENT"))]
    rest = [file for file in new.files if not file.path.startswith(("MANIFEST-", "CURRENT"))]
    mixed = replace(new, files=(*rest, *foreign))
    engine.target.write(f"meta/{two}.json", [encode_meta(mixed)])
    assert engine.verify_backup(two).ok
    (problem,) = engine.verify_backup(two, checksums=True).problems
    assert "not the one of this backup" in problem.reason
    with pytest.raises(CorruptionError, match="not the one of this backup"):
        engine.restore_backup(two, tmp_path / "new")
