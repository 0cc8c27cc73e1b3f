"""What the store asks of a file system.

The contract is POSIX's, spelled out where it bites: a name is durable only after `sync_directory` of its
directory, content only after the file's `sync`. Errors are OSError; the caller knows what they mean.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from replicad.errors import DiskFullError

Bytes = bytes | bytearray | memoryview
"""What is written: its `len` is its size in bytes, so a view is one of bytes."""


def is_no_room(error: OSError) -> bool:
    """Whether a call failed because the disk, or somebody's share of it, is full: that heals."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def naming_full_disk(what: str) -> Iterator[None]:
    """Whatever call it is that finds no room, DiskFullError says what there was none for."""
    try:
        yield
    except OSError as error:
        if is_no_room(error):
            raise DiskFullError(f"{what}: {error}") from error
        raise


@dataclass(frozen=True, slots=True)
class FileStamp:
    """Equal before and after a reading: nobody changed the file meanwhile. Times: nanoseconds since 1970."""

    device: int
    inode: int
    size_bytes: int
    modified_ns: int
    changed_ns: int
    """Of content, names or attributes; no program can set it."""


class AppendFile(Protocol):
    """A file that is written once, from its beginning to its end, by one owner."""

    path: Path
    size: int
    """Bytes appended so far, whole appends only."""

    @property
    def descriptor(self) -> int | None:
        """The open file, where fdatasync of it is all that `sync` does; else None."""
        ...

    def write(self, data: Bytes, /) -> int:
        """One write of the system at the end: takes some of `data` and returns how much, or raises OSError.

        `size` is the caller's to raise, when a whole piece is there: `append` without what it costs.
        """
        ...

    def append(self, data: Bytes, /) -> int:
        """Writes all of `data` and returns the new `size`, or raises OSError; then part of it may be there,
        beyond `size`."""
        ...

    def sync(self) -> None:
        """Returns when everything appended is on the medium (fdatasync)."""
        ...

    def discard_tail(self) -> None:
        """Cuts what a failed append left beyond `size`. Only for files that were never linked."""
        ...

    def close(self) -> None: ...


class ReadFile(Protocol):
    """A file that is read at any offset, by any thread; readable on after it was unlinked."""

    path: Path

    def read(self, offset: int, length: int, /) -> bytes:
        """At most `length` bytes; fewer only at the end of the file."""
        ...

    def read_into(self, offset: int, buffer: memoryview, /) -> int:
        """Fills `buffer`, which saves making one; how many bytes, fewer only at the end of the file."""
        ...

    def size(self) -> int: ...

    def stamp(self) -> FileStamp: ...

    def close(self) -> None: ...


class DirectoryLock(Protocol):
    def release(self) -> None: ...

    def is_in_place(self) -> bool:
        """Whether the lock file's path still names the file that is locked: its directory may have been
        removed, replaced or unmounted."""
        ...


class FileSystem(Protocol):
    def create(self, path: Path) -> AppendFile:
        """A new, empty file; FileExistsError if there is one."""
        ...

    def open(self, path: Path) -> ReadFile: ...

    def read_file(self, path: Path) -> bytes: ...

    def sync_file(self, path: Path) -> None:
        """Makes the content of a file durable that somebody else may have written."""
        ...

    def sync_directory(self, path: Path) -> None: ...

    def make_directories(self, path: Path) -> None:
        """Makes the directory and its parents, each name of them durable; fine if it is there."""
        ...

    def list(self, path: Path) -> list[str]:
        """Sorted names; empty when there is no such directory."""
        ...

    def files(self, path: Path) -> dict[str, int]:
        """Size by relative name (with "/") of every file beneath a directory; empty when there is none.

        What comes or goes meanwhile may be in it or not.
        """
        ...

    def exists(self, path: Path) -> bool: ...

    def size(self, path: Path) -> int: ...

    def rename(self, source: Path, target: Path) -> None:
        """Replaces `target` atomically."""
        ...

    def link(self, source: Path, target: Path) -> None:
        """A hard link; OSError EXDEV across file systems."""
        ...

    def unlink(self, path: Path) -> None:
        """Removes a name; fine if it is gone."""
        ...

    def remove_tree(self, path: Path) -> None:
        """Removes a directory with all in it; fine if it is gone."""
        ...

    def remove_directory(self, path: Path) -> bool:
        """Removes a directory that is empty; whether it did. False when something is in it, or it is gone."""
        ...

    def free_bytes(self, path: Path) -> int:
        """Room left for an ordinary user on the file system that holds `path`."""
        ...

    def lock(self, path: Path) -> DirectoryLock:
        """Takes the lock file `path` for this process, or raises LockedError naming the holder."""
        ...
