"""The half of a file system that changes something, for those that have only the other half."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from replicad.env.filesystem import AppendFile, DirectoryLock
from replicad.errors import ReadOnlyError


class ReadOnlyFileSystem:
    """Whatever would change something raises ReadOnlyError. Part of a `FileSystem`."""

    def create(self, path: Path) -> AppendFile:
        _refuse(path)

    def sync_file(self, path: Path) -> None:
        _refuse(path)

    def sync_directory(self, path: Path) -> None:
        _refuse(path)

    def make_directories(self, path: Path) -> None:
        _refuse(path)

    def rename(self, source: Path, target: Path) -> None:
        _refuse(target)

    def link(self, source: Path, target: Path) -> None:
        _refuse(target)

    def unlink(self, path: Path) -> None:
        _refuse(path)

    def remove_tree(self, path: Path) -> None:
        _refuse(path)

    def remove_directory(self, path: Path) -> bool:
        _refuse(path)

    def free_bytes(self, path: Path) -> int:
        return 0

    def lock(self, path: Path) -> DirectoryLock:
        _refuse(path)


def _refuse(path: Path) -> NoReturn:
    raise ReadOnlyError(f"{path} can only be read")
