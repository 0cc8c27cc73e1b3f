"""Files beside the database come out as they were at the cut, or the backup fails and says why."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

import replicad
from replicad import Attachment, BackupEngine, Database, Snapshot
from replicad.env import Env, LocalFileSystem, ReadFile


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    """A directory with three files that belong to the database."""
    directory = tmp_path / "papers"
    directory.mkdir()
    for name, content in (("a", b"first"), ("b", b"x" * 3_000_000), ("c", b"first")):
        (directory / name).write_bytes(content)
    return directory


def named_in(papers: Path) -> Callable[[Snapshot], Iterator[Path]]:
    """The application's own rule: keys are names of files."""

    def find(snapshot: Snapshot) -> Iterator[Path]:
        for key, _ in snapshot.scan(prefix=b"paper/"):
            yield papers / key.decode().removeprefix("paper/")

    return find


@pytest.fixture
def library(database: Database, papers: Path) -> Database:
    for name in "abc":
        database.put(f"paper/{name}".encode(), b"")
    return database


def test_attachments_are_in_the_backup(library: Database, engine: BackupEngine, papers: Path) -> None:
    """Content-addressed, listed, verified, shared between backups."""
    info = engine.create_backup(library, attachments=named_in(papers))
    assert info.attachment_count == 3
    attachments = {file.path: file for file in engine.get_backup(info.id).attachments}
    assert set(attachments) == {f"{papers}/{name}".lstrip("/") for name in "abc"}
    for path, file in attachments.items():
        assert engine.target.read(file.name) == Path("/", path).read_bytes()
        assert file.name == f"attachments/{file.sha256.hex()}-{info.id}"
    assert len(engine.target.list("attachments/")) == 2
    again = engine.create_backup(library, attachments=named_in(papers))
    assert again.copied_bytes < 100_000
    assert engine.verify_backups(checksums=True).ok
    name = attachments[f"{papers}/b".lstrip("/")].name
    (Path(engine.target.url) / name).write_bytes(b"x" * 2_999_999)
    assert engine.verify_backup(1).problems[0].backups == (1, 2)
    engine.purge_old_backups(0)
    assert engine.target.list("attachments/") == {}


def test_the_snapshot_is_the_cuts(library: Database, engine: BackupEngine, papers: Path) -> None:
    """What is named after the cut is not in the backup."""
    with library.cut() as cut:
        library.put(b"paper/later", b"")
        library.delete(b"paper/a")
        for path in papers.iterdir():
            path.touch()
        with pytest.raises(replicad.AttachmentError):
            engine.create_backup(cut, attachments=named_in(papers))  # They are too new to be surely older.
        exact = [
            Attachment(path, sha256=hashlib.sha256(path.read_bytes()).digest())
            for path in sorted(papers.iterdir())
        ]
        seen: list[bytes] = []

        def find(snapshot: Snapshot) -> list[Attachment]:
            seen.extend(key for key, _ in snapshot.scan(prefix=b"paper/"))
            return exact

        engine.create_backup(cut, attachments=find)
    assert seen == [b"paper/a", b"paper/b", b"paper/c"]


def rewritten(path: Path) -> None:
    path.write_bytes(b"other")


def replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes()[::-1])
    other.rename(path)


def disguised(path: Path) -> None:
    """Other content with the size and the time of modification of before."""
    before = path.stat()
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def removed(path: Path) -> None:
    path.unlink()


CHANGES = [rewritten, replaced, disguised, removed]


@pytest.mark.parametrize("change", CHANGES)
def test_changed_after_the_cut(
    library: Database, engine: BackupEngine, papers: Path, change: Callable[[Path], None]
) -> None:
    """A file that was changed between cut and reading fails the backup, which names it."""

    def find(snapshot: Snapshot) -> list[Path]:
        change(papers / "b")
        return sorted(papers.glob("[abc]")) if change is not removed else [papers / "b"]

    with pytest.raises(replicad.AttachmentError, match=f"{papers}/b"):
        engine.create_backup(library, attachments=find)
    assert engine.get_backup_info() == []


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("offset", [0, 1 << 20, 2 << 20])
def test_changed_while_it_is_read(
    library: Database, tmp_path: Path, papers: Path, change: Callable[[Path], None], offset: int
) -> None:
    """At any moment of the reading: never a mix of old and new."""

    class Changing(LocalFileSystem):
        done = False

        def open(self, path: Path) -> ReadFile:
            file = super().open(path)
            if path == papers / "b":
                read = file.read_into

                def read_and_change(at: int, buffer: memoryview, /) -> int:
                    got = read(at, buffer)
                    if at == offset and not self.done:
                        self.done = True
                        change(path)
                    return got

                file.read_into = read_and_change  # type: ignore[method-assign]
            return file

    engine = BackupEngine(tmp_path / "backups", env=Env(fs=Changing()))
    with pytest.raises(replicad.AttachmentError, match=f"{papers}/b"):
        engine.create_backup(library, attachments=lambda snapshot: [papers / "b"])
    assert engine.get_backup_info() == []


def test_a_known_digest_decides(library: Database, engine: BackupEngine, papers: Path) -> None:
    """With it times do not matter, and other content is refused."""
    right = hashlib.sha256(b"first").digest()

    def touched(snapshot: Snapshot) -> list[Attachment]:
        (papers / "a").touch()
        return [Attachment(papers / "a", name="letters/a", sha256=right)]

    info = engine.create_backup(library, attachments=touched)
    assert [file.path for file in engine.get_backup(info.id).attachments] == ["letters/a"]
    with pytest.raises(replicad.AttachmentError, match="SHA-256"):
        engine.create_backup(library, attachments=lambda snapshot: [Attachment(papers / "b", sha256=right)])


def given(attachments: list[Attachment], snapshot: Snapshot) -> list[Attachment]:
    return attachments


def test_names_that_cannot_be(library: Database, engine: BackupEngine, papers: Path) -> None:
    """Two of one name, and names that lead elsewhere, are refused before anything is copied."""
    for names in (["x", "x"], ["../x"], [""], ["a//b"], ["x", "X"], ["x", "x/y"], ["n" * 256]):
        with pytest.raises(replicad.InvalidArgument):
            attachments = [Attachment(papers / "a", name=name) for name in names]
            engine.create_backup(library, attachments=partial(given, attachments))
    assert engine.get_backup_info() == []


def test_a_checkpoint_needs_digests(
    library: Database, engine: BackupEngine, papers: Path, tmp_path: Path
) -> None:
    """Nobody knows when a checkpoint was this state, so content has to prove itself."""
    checkpoint = library.create_checkpoint(tmp_path / "checkpoint").path
    with pytest.raises(replicad.InvalidArgument, match="sha256"):
        engine.create_backup(checkpoint, attachments=named_in(papers))
    right = hashlib.sha256(b"first").digest()
    info = engine.create_backup(
        checkpoint, attachments=lambda snapshot: [Attachment(papers / "a", sha256=right)]
    )
    assert info.attachment_count == 1


def test_what_the_callable_raises_ends_the_backup(library: Database, engine: BackupEngine) -> None:
    """And comes out as it was raised, with nothing left."""

    def refuse(snapshot: Snapshot) -> list[Path]:
        raise RuntimeError("not now")

    with pytest.raises(RuntimeError, match="not now"):
        engine.create_backup(library, attachments=refuse)
    assert {name for name in engine.target.list("") if "last-" not in name} == set()
