"""A short life of a store in a process of its own, which writes down what it asked of `env`.

    python -m tests.support.files.recorded_life DIRECTORY FILE

FILE gets one line a call: its kind as the kernel sees it, a blank, and the path. Listing is not written down.
"""

from __future__ import annotations

import sys
from pathlib import Path

import replicad.env.local as local
from replicad import BackupEngine, WriteBatch
from replicad.env import Env, LocalFileSystem
from replicad.env.filesystem import Bytes, ReadFile
from replicad.store.database import open_database
from tests.support.stores.small import fill, small_options

LINES: list[str] = []


def note(kind: str, path: Path) -> None:
    LINES.append(f"{kind} {path}")


class RecordedAppendFile(local.LocalAppendFile):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        note("open", path)
        write = self.write

        def noted(data: Bytes, /) -> int:
            note("write", path)
            return write(data)

        self.write = noted

    def sync(self) -> None:
        note("sync", self.path)
        super().sync()

    def discard_tail(self) -> None:
        note("truncate", self.path)
        super().discard_tail()


class RecordedFileSystem(LocalFileSystem):
    def create(self, path: Path) -> RecordedAppendFile:
        return RecordedAppendFile(path)

    def open(self, path: Path) -> ReadFile:
        note("open", path)
        return super().open(path)

    def read_file(self, path: Path) -> bytes:
        note("open", path)
        return super().read_file(path)

    def sync_file(self, path: Path) -> None:
        note("open", path)
        note("sync", path)
        super().sync_file(path)

    def sync_directory(self, path: Path) -> None:
        note("sync", path)
        super().sync_directory(path)

    def rename(self, source: Path, target: Path) -> None:
        note("rename", target)
        super().rename(source, target)

    def link(self, source: Path, target: Path) -> None:
        note("link", target)
        super().link(source, target)

    def unlink(self, path: Path) -> None:
        note("unlink", path)
        super().unlink(path)

    def remove_tree(self, path: Path) -> None:
        """The directory is opened; what is in it goes by names relative to that."""
        if path.exists():
            note("open", path)
        super().remove_tree(path)

    def lock(self, path: Path) -> local.LocalDirectoryLock:
        note("open", path)
        note("truncate", path)
        note("write", path)
        lock = super().lock(path)
        assert isinstance(lock, local.LocalDirectoryLock)
        return lock


def live(directory: Path) -> None:
    env = Env(fs=RecordedFileSystem())
    with open_database(directory / "db", small_options(), env=env) as database:
        database.create_family("one")
        fill(database, 1500)
        database.compact()
        batch = WriteBatch()
        batch.put(b"in one", b"1", database.families["one"])
        batch.put_log_data(b"a note")
        database.write(batch)
        database.create_checkpoint(directory / "copy")
        with BackupEngine(directory / "backups", env=env) as engine:
            id = engine.create_backup(database).id
            engine.verify_backup(id)
            engine.restore_backup(id, directory / "restored")
    for name in ("db", "copy", "restored"):
        with open_database(directory / name, small_options(), env=env) as again:
            assert sum(1 for _ in again.scan()) == 1500
            again.put(b"after", b"1")
            list(again.get_updates_since(again.latest_sequence))


if __name__ == "__main__":
    live(Path(sys.argv[1]))
    Path(sys.argv[2]).write_text("\n".join(LINES))
