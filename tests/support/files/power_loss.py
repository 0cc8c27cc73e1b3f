"""A file system that dies at a chosen operation, and knows what a loss of power would leave then.

Inodes and directory entries are recorded apart: content is kept as it was at the file's last sync, a name as
it was at the last sync of its directory. What survives a kill is simply what is there.
"""

from __future__ import annotations

import os
from pathlib import Path

from replicad.env import AppendFile, LocalFileSystem
from replicad.env.filesystem import Bytes
from replicad.env.local import LocalAppendFile


class Died(BaseException):
    """Not an Exception: nothing that runs afterwards may catch it and go on."""


class MortalFileSystem(LocalFileSystem):
    """Counts operations that change something; the one numbered `dies_at`, and every later one, raises Died,
    or `fails_at` one OSError."""

    def __init__(self, dies_at: int | None = None, fails_at: int | None = None) -> None:
        self.operations = 0
        self._dies_at = dies_at
        self._fails_at = fails_at
        self._synced: dict[int, bytes] = {}
        self._entries: dict[Path, dict[str, int]] = {}
        """By directory: inode by name, for files, as the last sync of the directory found them."""

    def begin_with(self, root: Path) -> None:
        """What is there already is durable."""
        for directory in (root, *(path for path in root.rglob("*") if path.is_dir())):
            self._note_directory(directory)
            for path in directory.iterdir():
                if path.is_file():
                    self._synced[path.stat().st_ino] = path.read_bytes()

    def left_by_power_loss(self, root: Path, target: Path) -> Path:
        """Writes what would be on the medium. Directories themselves are taken as durable."""
        for directory, entries in self._entries.items():
            if directory != root and root not in directory.parents:
                continue
            place = target / directory.relative_to(root)
            place.mkdir(parents=True, exist_ok=True)
            for name, inode in entries.items():
                (place / name).write_bytes(self._synced.get(inode, b""))
        target.mkdir(parents=True, exist_ok=True)
        return target

    def step(self, path: Path) -> None:
        number = self.operations
        self.operations += 1
        if self._dies_at is not None and number >= self._dies_at:
            raise Died(f"operation {number} on {path}")
        if number == self._fails_at:
            raise OSError(5, "Input/output error", str(path))

    def create(self, path: Path) -> AppendFile:
        self.step(path)
        return _MortalFile(self, path)

    def sync_directory(self, path: Path) -> None:
        self.step(path)
        super().sync_directory(path)
        self._note_directory(path)

    def make_directories(self, path: Path) -> None:
        if not path.is_dir():
            self.step(path)
        super().make_directories(path)

    def rename(self, source: Path, target: Path) -> None:
        self.step(target)
        super().rename(source, target)

    def link(self, source: Path, target: Path) -> None:
        self.step(target)
        super().link(source, target)

    def unlink(self, path: Path) -> None:
        self.step(path)
        super().unlink(path)

    def remove_tree(self, path: Path) -> None:
        self.step(path)
        super().remove_tree(path)

    def remove_directory(self, path: Path) -> bool:
        self.step(path)
        return super().remove_directory(path)

    def note_synced(self, fd: int) -> None:
        """By descriptor: the file may have got another name since it was made."""
        self._synced[os.fstat(fd).st_ino] = Path(f"/proc/self/fd/{fd}").read_bytes()

    def _note_directory(self, path: Path) -> None:
        with os.scandir(path) as entries:
            self._entries[path] = {entry.name: entry.inode() for entry in entries if entry.is_file()}


class _MortalFile(LocalAppendFile):
    def __init__(self, fs: MortalFileSystem, path: Path) -> None:
        super().__init__(path)
        self._fs = fs

    def append(self, data: Bytes, /) -> int:
        try:
            self._fs.step(self.path)
        except BaseException:
            super().append(data[: len(data) // 2])
            raise
        return super().append(data)

    def sync(self) -> None:
        self._fs.step(self.path)
        super().sync()
        self._fs.note_synced(self._fd)
