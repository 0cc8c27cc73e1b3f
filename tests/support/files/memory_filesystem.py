"""A file system in memory that keeps a journal of every change, and fails when it is told to.

It shows what the page cache shows: everything that was done. What a crash leaves of it is a matter of
`tests/crash/states.py`, which reads the journal.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path

from replicad.env.filesystem import Bytes, FileStamp
from replicad.errors import LockedError
from tests.support.files.journal import (
    Create,
    FailedSync,
    MakeDirectory,
    Note,
    Operation,
    Remove,
    Rename,
    Sync,
    SyncDirectory,
    Truncate,
    Write,
)

Image = Mapping[str, bytes]
"""Content by absolute path; that of a directory is empty and its path ends with "/"."""


class ShortWrite(OSError):
    """Raised by `before` at an append: so many bytes of it are written before it fails."""

    def __init__(self, number: int, written: int) -> None:
        super().__init__(number, "short write")
        self.written = written


class Inode:
    __slots__ = ("content", "number")

    def __init__(self, number: int, content: bytes | bytearray) -> None:
        self.number = number
        self.content = content


class Directory:
    __slots__ = ("entries", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.entries: dict[str, Inode | Directory] = {}


def _no_fault(call: str, path: Path, size: int) -> None:
    return None


class MemoryFileSystem:
    """`before` is called at every call with its name, path and size; what it raises, the call raises.

    A sync that fails drops the dirty pages, as the kernel does. `free` is the room left.
    """

    def __init__(self, image: Image | None = None) -> None:
        self._numbers = count(1)
        self.root = Directory(next(self._numbers))
        self.journal: list[Operation] = []
        self.before: Callable[[str, Path, int], None] = _no_fault
        self.free = 1 << 40
        self._locked: set[Path] = set()
        for name, content in (image or {}).items():
            directory = self.root
            *parents, last = name.strip("/").split("/")
            for part in parents:
                directory = self._within(directory, part)
            if name.endswith("/"):
                self._within(directory, last)
            else:
                directory.entries[last] = Inode(next(self._numbers), content)
        self.at_start = dict(self._places(self.root))
        """Directory and name of every inode that was there before the journal began."""

    @classmethod
    def grown(cls, root: Directory, next_number: int) -> MemoryFileSystem:
        """One with this tree, whose inodes keep their numbers; its journal goes on from there."""
        fs = cls()
        fs.root = root
        fs._numbers = count(next_number)
        return fs

    def _places(self, directory: Directory) -> Iterator[tuple[int, tuple[int, str]]]:
        for name, entry in directory.entries.items():
            yield entry.number, (directory.number, name)
            if isinstance(entry, Directory):
                yield from self._places(entry)

    def _within(self, directory: Directory, name: str) -> Directory:
        """The directory of that name, made silently when it is not there."""
        found = directory.entries.get(name)
        if found is None:
            found = directory.entries[name] = Directory(next(self._numbers))
        assert isinstance(found, Directory)
        return found

    def note(self, what: str, value: object) -> None:
        self.journal.append(Note(what, value))

    def image(self) -> dict[str, bytes]:
        """Everything as it is now."""
        return {name: content for name, content in self._walk(self.root, "/") if name != "/"}

    def _walk(self, directory: Directory, path: str) -> Iterator[tuple[str, bytes]]:
        yield path, b""
        for name, entry in directory.entries.items():
            if isinstance(entry, Directory):
                yield from self._walk(entry, f"{path}{name}/")
            else:
                yield path + name, bytes(entry.content)

    # The contract of `replicad.env.FileSystem`

    def create(self, path: Path) -> MemoryAppendFile:
        self.before("create", path, 0)
        directory = self._directory(path.parent)
        if path.name in directory.entries:
            raise FileExistsError(errno.EEXIST, "File exists", str(path))
        inode = Inode(next(self._numbers), bytearray())
        directory.entries[path.name] = inode
        self.journal.append(Create(directory.number, path.name, inode.number))
        return MemoryAppendFile(self, path, inode)

    def open(self, path: Path) -> MemoryReadFile:
        self.before("open", path, 0)
        return MemoryReadFile(self, path, self._inode(path))

    def read_file(self, path: Path) -> bytes:
        self.before("read", path, 0)
        return bytes(self._inode(path).content)

    def sync_file(self, path: Path) -> None:
        self.sync_inode(path, self._inode(path))

    def sync_directory(self, path: Path) -> None:
        self.before("sync_directory", path, 0)
        self.journal.append(SyncDirectory(self._directory(path).number))

    def make_directories(self, path: Path) -> None:
        parent = directory = self.root
        names = list(path.parts[1:])
        while names and (found := directory.entries.get(names[0])) is not None:
            if not isinstance(found, Directory):
                raise NotADirectoryError(errno.ENOTDIR, "Not a directory", str(path))
            parent, directory = directory, found
            del names[0]
        self.before("sync_directory", path.parent, 0)
        self.journal.append(SyncDirectory(parent.number))
        for name in names:
            self.before("mkdir", path, 0)
            made = self._within(directory, name)
            self.journal.append(MakeDirectory(directory.number, name, made.number))
            self.before("sync_directory", path, 0)
            self.journal.append(SyncDirectory(directory.number))
            directory = made

    def list(self, path: Path) -> list[str]:
        self.before("list", path, 0)
        try:
            return sorted(self._directory(path).entries)
        except FileNotFoundError:
            return []

    def exists(self, path: Path) -> bool:
        try:
            return path.name in self._directory(path.parent).entries
        except (FileNotFoundError, NotADirectoryError):
            return False

    def size(self, path: Path) -> int:
        return len(self._inode(path).content)

    def files(self, path: Path) -> dict[str, int]:
        self.before("list", path, 0)
        try:
            directory = self._directory(path)
        except FileNotFoundError:
            return {}
        return {name: len(data) for name, data in self._walk(directory, "") if name and name[-1] != "/"}

    def rename(self, source: Path, target: Path) -> None:
        self.before("rename", target, 0)
        here, there = self._directory(source.parent), self._directory(target.parent)
        if source.name not in here.entries:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(source))
        present = there.entries.get(target.name)
        if present is here.entries[source.name]:
            return  # Two names of one file: POSIX leaves both.
        if isinstance(present, Directory) and present.entries:
            raise OSError(errno.ENOTEMPTY, "Directory not empty", str(target))
        entry = here.entries.pop(source.name)
        there.entries[target.name] = entry
        self.journal.append(Rename(here.number, source.name, there.number, target.name, entry.number))

    def link(self, source: Path, target: Path) -> None:
        self.before("link", target, 0)
        inode, directory = self._inode(source), self._directory(target.parent)
        if target.name in directory.entries:
            raise FileExistsError(errno.EEXIST, "File exists", str(target))
        directory.entries[target.name] = inode
        self.journal.append(Create(directory.number, target.name, inode.number))

    def unlink(self, path: Path) -> None:
        self.before("unlink", path, 0)
        try:
            directory = self._directory(path.parent)
        except FileNotFoundError:
            return
        if directory.entries.pop(path.name, None) is not None:
            self.journal.append(Remove(directory.number, path.name))

    def remove_tree(self, path: Path) -> None:
        if not self.exists(path):
            return
        for name in self.list(path):
            if isinstance(self._directory(path).entries[name], Directory):
                self.remove_tree(path / name)
            else:
                self.unlink(path / name)
        self.unlink(path)

    def remove_directory(self, path: Path) -> bool:
        if not self.exists(path) or self.list(path):
            return False
        self.unlink(path)
        return True

    def free_bytes(self, path: Path) -> int:
        self._directory(path)
        return self.free

    def lock(self, path: Path) -> MemoryLock:
        if path in self._locked:
            raise LockedError(f"{path.parent} is in use")
        if not self.exists(path):
            self.create(path)
        self._locked.add(path)
        return MemoryLock(self, self._locked, path)

    # For its files

    def sync_inode(self, path: Path, inode: Inode) -> None:
        try:
            self.before("sync", path, 0)
        except OSError:
            self.journal.append(FailedSync(inode.number))
            raise
        self.journal.append(Sync(inode.number))

    def write(self, path: Path, inode: Inode, data: bytes) -> None:
        try:
            self.before("append", path, len(data))
        except ShortWrite as error:
            self._write(inode, data[: error.written])
            raise
        self._write(inode, data)

    def _write(self, inode: Inode, data: bytes) -> None:
        content = inode.content
        assert isinstance(content, bytearray), "only a file made here is written"
        self.journal.append(Write(inode.number, len(content), data))
        content += data

    def _directory(self, path: Path) -> Directory:
        entry: Inode | Directory | None = self.root
        for part in path.parts[1:]:
            if not isinstance(entry, Directory):
                raise NotADirectoryError(errno.ENOTDIR, "Not a directory", str(path))
            entry = entry.entries.get(part)
            if entry is None:
                raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
        if not isinstance(entry, Directory):
            raise NotADirectoryError(errno.ENOTDIR, "Not a directory", str(path))
        return entry

    def _inode(self, path: Path) -> Inode:
        entry = self._directory(path.parent).entries.get(path.name)
        if entry is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
        if isinstance(entry, Directory):
            raise IsADirectoryError(errno.EISDIR, "Is a directory", str(path))
        return entry


class MemoryAppendFile:
    descriptor = None

    def __init__(self, fs: MemoryFileSystem, path: Path, inode: Inode) -> None:
        self.path = path
        self.size = 0
        self._fs = fs
        self._inode = inode

    def write(self, data: Bytes, /) -> int:
        self._fs.write(self.path, self._inode, bytes(data))
        return len(data)

    def append(self, data: Bytes, /) -> int:
        self.size += self.write(data)
        return self.size

    def sync(self) -> None:
        self._fs.sync_inode(self.path, self._inode)

    def discard_tail(self) -> None:
        self._fs.before("truncate", self.path, self.size)
        content = self._inode.content
        assert isinstance(content, bytearray)
        if len(content) > self.size:
            self._fs.journal.append(Truncate(self._inode.number, self.size))
            del content[self.size :]

    def close(self) -> None:
        pass


class MemoryReadFile:
    def __init__(self, fs: MemoryFileSystem, path: Path, inode: Inode) -> None:
        self.path = path
        self._fs = fs
        self._inode = inode

    def read(self, offset: int, length: int, /) -> bytes:
        self._fs.before("read", self.path, length)
        return bytes(self._inode.content[offset : offset + length])

    def read_into(self, offset: int, buffer: memoryview, /) -> int:
        data = self.read(offset, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def size(self) -> int:
        return len(self._inode.content)

    def stamp(self) -> FileStamp:
        size = len(self._inode.content)
        return FileStamp(0, self._inode.number, size, size, size)

    def close(self) -> None:
        pass


class MemoryLock:
    def __init__(self, fs: MemoryFileSystem, locked: set[Path], path: Path) -> None:
        self._fs = fs
        self._locked = locked
        self._path = path

    def is_in_place(self) -> bool:
        return self._fs.exists(self._path)

    def release(self) -> None:
        self._locked.discard(self._path)
