"""What a file system was asked to change, in order: the words that crash states are made of.

Inodes and directories are numbers from one count. A note is no change: it marks a moment, such as the return
of a write, between two changes.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Create(NamedTuple):
    """An empty file under a new name; also what a hard link does with a file that is there."""

    directory: int
    name: str
    inode: int


class MakeDirectory(NamedTuple):
    directory: int
    name: str
    inode: int


class Remove(NamedTuple):
    """A name goes: of a file or of an empty directory."""

    directory: int
    name: str


class Rename(NamedTuple):
    source: int
    source_name: str
    target: int
    target_name: str
    inode: int


class Write(NamedTuple):
    inode: int
    offset: int
    data: bytes


class Truncate(NamedTuple):
    inode: int
    size: int


class Sync(NamedTuple):
    inode: int


class FailedSync(NamedTuple):
    """The dirty pages are clean from now on, and were never written."""

    inode: int


class SyncDirectory(NamedTuple):
    directory: int


class Note(NamedTuple):
    """What was promised at this moment; `value` belongs to whoever reads it."""

    what: str
    value: Any


EntryChange = Create | MakeDirectory | Remove | Rename
Operation = EntryChange | Write | Truncate | Sync | FailedSync | SyncDirectory | Note
