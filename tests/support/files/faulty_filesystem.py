"""A file system that fails when a test tells it to."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from pathlib import Path

from replicad.env import AppendFile, LocalFileSystem
from replicad.env.filesystem import Bytes
from replicad.env.local import LocalAppendFile

Fault = Callable[[Path], None]


def no_space(path: Path) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", str(path))


def io_error(path: Path) -> None:
    raise OSError(errno.EIO, "Input/output error", str(path))


class FaultyFileSystem(LocalFileSystem):
    """`on_append` and `on_sync` are called first, with the file's path, and may raise or wait."""

    def __init__(self) -> None:
        self.on_append: Fault | None = None
        self.on_sync: Fault | None = None
        self.syncs: list[Path] = []

    def create(self, path: Path) -> AppendFile:
        return _FaultyAppendFile(self, path)


class _FaultyAppendFile(LocalAppendFile):
    def __init__(self, fs: FaultyFileSystem, path: Path) -> None:
        super().__init__(path)
        self._fs = fs
        write = self.write

        def faulty(data: Bytes, /) -> int:
            if fs.on_append is not None:
                try:
                    fs.on_append(path)
                except OSError:
                    write(data[: len(data) // 2])
                    raise
            return write(data)

        self.write = faulty

    def sync(self) -> None:
        if self._fs.on_sync is not None:
            self._fs.on_sync(self.path)
        super().sync()
        self._fs.syncs.append(self.path)


class Gate:
    """A fault that holds every call until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()

    def __call__(self, path: Path) -> None:
        self.reached.set()
        if not self.open.wait(30):  # No assert: it holds under -O, too.
            raise AssertionError(f"nobody opened the gate for {path}")
