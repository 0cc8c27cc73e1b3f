"""What a workload asked of the file system, as lines that a reviewer reads: the order of syncs is a diff.

Paths stand instead of inodes. How much was written is left out, and a call that repeats itself is one line.
"""

from __future__ import annotations

from itertools import groupby

from tests.crash.recording import Recording
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
from tests.support.files.memory_filesystem import MemoryFileSystem

NOTES = {
    "floor": "-- what is above must survive a crash",
    "narrowed": "-- only what was cut back to may be there from here on",
    "leaving": "-- a backup may go from here on",
    "copy": "-- the copy was reported whole",
}
"""What the notes of the workloads mean at that moment."""

Place = tuple[int, str]
"""The number of a directory, and a name in it."""


class Names:
    """The paths of inodes while a journal is read."""

    def __init__(self, fs: MemoryFileSystem) -> None:
        self._root = fs.root.number
        self._places: dict[int, Place] = dict(fs.at_start)

    def __contains__(self, number: int) -> bool:
        return number in self._places

    def path(self, number: int) -> str:
        if number == self._root:
            return ""
        directory, name = self._places[number]
        return self.at(directory, name)

    def at(self, directory: int, name: str) -> str:
        return f"{self.path(directory)}/{name}"

    def put(self, number: int, directory: int, name: str) -> None:
        self._places[number] = (directory, name)


def trace(recording: Recording) -> str:
    """The whole journal of a workload."""
    fs = recording.script.fs
    names = Names(fs)
    lines = [_line(operation, names) for operation in fs.journal]
    grouped = ((line, sum(1 for _ in same)) for line, same in groupby(lines))
    return "".join(line + (f"   ({count} times)" if count > 1 else "") + "\n" for line, count in grouped)


def _line(operation: Operation, names: Names) -> str:
    match operation:
        case Create(directory, name, inode):
            path = names.at(directory, name)
            if inode in names:
                return f"link      {names.path(inode)} -> {path}"
            names.put(inode, directory, name)
            return f"create    {path}"
        case MakeDirectory(directory, name, inode):
            names.put(inode, directory, name)
            return f"mkdir     {names.at(directory, name)}"
        case Remove(directory, name):
            return f"unlink    {names.at(directory, name)}"
        case Rename(source, source_name, target, target_name, inode):
            names.put(inode, target, target_name)
            return f"rename    {names.at(source, source_name)} -> {names.at(target, target_name)}"
        case Write(inode, _, _):
            return f"write     {names.path(inode)}"
        case Truncate(inode, _):
            return f"truncate  {names.path(inode)}"
        case Sync(inode):
            return f"sync      {names.path(inode)}"
        case FailedSync(inode):
            return f"sync      {names.path(inode)} FAILED"
        case SyncDirectory(directory):
            return f"sync dir  {names.path(directory) or '/'}"
        case Note(what, _):
            return f"    {NOTES[what]}"
