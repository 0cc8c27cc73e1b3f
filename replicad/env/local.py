"""The machine's own file system."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from replicad.env.filesystem import AppendFile, Bytes, DirectoryLock, FileStamp, ReadFile
from replicad.errors import LockedError


class LocalAppendFile:
    __slots__ = ("_fd", "path", "size", "write")

    write: Callable[[Bytes], int]

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._fd = -1
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self.write = partial(os.write, self._fd)

    @property
    def descriptor(self) -> int | None:
        """None of a file that overrides `sync`, so that nothing goes by it."""
        return self._fd if type(self).sync is LocalAppendFile.sync else None

    def append(self, data: Bytes, /) -> int:
        written = self.write(data)
        if written != len(data):
            view = memoryview(data)
            while written < len(data):
                written += self.write(view[written:])
        self.size = size = self.size + written
        return size

    def sync(self) -> None:
        os.fdatasync(self._fd)

    def discard_tail(self) -> None:
        os.ftruncate(self._fd, self.size)

    def close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def __del__(self) -> None:
        self.close()


class LocalReadFile:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self, offset: int, length: int, /) -> bytes:
        data = os.pread(self._fd, length, offset)
        if len(data) == length or not data:
            return data
        parts = [data]
        got = len(data)
        while got < length and (data := os.pread(self._fd, length - got, offset + got)):
            parts.append(data)
            got += len(data)
        return b"".join(parts)

    def read_into(self, offset: int, buffer: memoryview, /) -> int:
        got = os.preadv(self._fd, [buffer], offset)
        while got < len(buffer) and (more := os.preadv(self._fd, [buffer[got:]], offset + got)):
            got += more
        return got

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def stamp(self) -> FileStamp:
        found = os.fstat(self._fd)
        return FileStamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)

    def close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def __del__(self) -> None:
        self.close()


class LocalDirectoryLock:
    """flock: ends with the process, whatever way it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise LockedError(f"{path.parent} is in use by process {holder}") from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def is_in_place(self) -> bool:
        try:
            found = self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return self._fd >= 0 and os.path.samestat(found, os.fstat(self._fd))

    def release(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


class LocalFileSystem:
    """POSIX calls, one each."""

    def create(self, path: Path) -> AppendFile:
        return LocalAppendFile(path)

    def open(self, path: Path) -> ReadFile:
        return LocalReadFile(path)

    def read_file(self, path: Path) -> bytes:
        return path.read_bytes()

    def sync_file(self, path: Path) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fdatasync(fd)
        finally:
            os.close(fd)

    def sync_directory(self, path: Path) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def make_directories(self, path: Path) -> None:
        path = path.absolute()
        missing = []
        while not path.is_dir():
            missing.append(path)
            path = path.parent
        # A kill between making this one and syncing its name would have left it like that.
        with suppress(PermissionError):
            self.sync_directory(path.parent)
        for directory in reversed(missing):
            directory.mkdir(exist_ok=True)
            self.sync_directory(directory.parent)

    def list(self, path: Path) -> list[str]:
        try:
            return sorted(os.listdir(path))
        except FileNotFoundError:
            return []

    def files(self, path: Path) -> dict[str, int]:
        found: dict[str, int] = {}
        waiting = [("", path)]
        while waiting:
            prefix, directory = waiting.pop()
            try:
                with os.scandir(directory) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append((f"{prefix}{entry.name}/", directory / entry.name))
                        else:
                            found[prefix + entry.name] = entry.stat(follow_symlinks=False).st_size
            except FileNotFoundError:
                continue
        return found

    def exists(self, path: Path) -> bool:
        return path.exists()

    def size(self, path: Path) -> int:
        return path.stat().st_size

    def rename(self, source: Path, target: Path) -> None:
        source.replace(target)

    def link(self, source: Path, target: Path) -> None:
        target.hardlink_to(source)

    def unlink(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def remove_tree(self, path: Path) -> None:
        def unless_gone(function: object, name: object, error: tuple[type, BaseException, object]) -> None:
            if not isinstance(error[1], FileNotFoundError):
                raise error[1]

        shutil.rmtree(path, onerror=unless_gone)

    def remove_directory(self, path: Path) -> bool:
        try:
            path.rmdir()
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                raise
            return False
        return True

    def free_bytes(self, path: Path) -> int:
        status = os.statvfs(path)
        return status.f_bavail * status.f_frsize

    def lock(self, path: Path) -> DirectoryLock:
        return LocalDirectoryLock(path)
