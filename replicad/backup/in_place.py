"""A backup as a file system: what a read-only opening asks of a directory is read from the target.

Nothing is copied. Tables and log are read at the target where a reader needs them, manifest and options once.
"""

from __future__ import annotations

from pathlib import Path

from replicad.backup.meta import BackupFile, BackupMeta
from replicad.backup.target import Target
from replicad.env import Env
from replicad.env.filesystem import FileStamp, ReadFile
from replicad.env.read_only import ReadOnlyFileSystem
from replicad.errors import NotFoundError
from replicad.options import Options
from replicad.store.database import Database, open_database


def open_in_place(env: Env, target: Target, meta: BackupMeta, options: Options | None = None) -> Database:
    """The database of a backup, for reading; its files stay where they are."""
    root = Path("/") / f"backup-{meta.id}"
    fs = BackupFileSystem(target, meta, root)
    reading = Env(fs=fs, clock=env.clock, random=env.random, runner=env.runner)
    return open_database(root, options, env=reading, role="replica", read_only=True)


class _BackupReadFile:
    """One file of the backup; a file of a target never changes, so it needs no handle."""

    def __init__(self, target: Target, path: Path, file: BackupFile) -> None:
        self.path = path
        self._target = target
        self._file = file

    def read(self, offset: int, length: int, /) -> bytes:
        wanted = min(length, self._file.size_bytes - offset)
        return self._target.read(self._file.name, offset, wanted) if wanted > 0 else b""

    def read_into(self, offset: int, buffer: memoryview, /) -> int:
        data = self.read(offset, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def size(self) -> int:
        return self._file.size_bytes

    def stamp(self) -> FileStamp:
        """Always the same, as the file is."""
        return FileStamp(device=0, inode=0, size_bytes=self._file.size_bytes, modified_ns=0, changed_ns=0)

    def close(self) -> None:
        pass


class BackupFileSystem(ReadOnlyFileSystem):
    """The database of a backup beneath `root`, a path that need not exist; satisfies `FileSystem`."""

    def __init__(self, target: Target, meta: BackupMeta, root: Path) -> None:
        self._target = target
        self._root = root
        self._files = {root / file.path: file for file in meta.database_files}

    def open(self, path: Path) -> ReadFile:
        return _BackupReadFile(self._target, path, self._file(path))

    def read_file(self, path: Path) -> bytes:
        file = self._file(path)
        try:
            return self._target.read(file.name)
        except NotFoundError as error:
            raise FileNotFoundError(str(error)) from error

    def size(self, path: Path) -> int:
        return self._file(path).size_bytes

    def exists(self, path: Path) -> bool:
        return path in self._files or any(path in file.parents for file in self._files)

    def list(self, path: Path) -> list[str]:
        within = [file.relative_to(path).parts[0] for file in self._files if path in file.parents]
        return sorted(set(within))

    def files(self, path: Path) -> dict[str, int]:
        return {
            str(file.relative_to(path)): known.size_bytes
            for file, known in self._files.items()
            if path in file.parents
        }

    def _file(self, path: Path) -> BackupFile:
        try:
            return self._files[path]
        except KeyError:
            raise FileNotFoundError(f"the backup has no {path.name}") from None
