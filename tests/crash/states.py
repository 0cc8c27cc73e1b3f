"""What a crash may leave of a file system, given its journal.

Content and names live apart, as POSIX has them:

    content   of a file: what its last sync made durable, plus any part of what was written later
    names     of a directory: what its last sync made durable, plus some of the later changes: the first so
              many of all (a journal that commits in order), or any of them (one that does not)

A later write is torn where sectors of 512 bytes and pages of 4 KiB end. What of it did not arrive before
something behind it did reads as zeros. A rename arrives whole or not at all.
"""

from __future__ import annotations

import copy
import hashlib
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from tests.support.files.journal import (
    Create,
    EntryChange,
    FailedSync,
    MakeDirectory,
    Operation,
    Remove,
    Rename,
    Sync,
    SyncDirectory,
    Truncate,
    Write,
)
from tests.support.files.memory_filesystem import Directory, Image, Inode, MemoryFileSystem

SECTOR_BYTES = 512
PAGE_BYTES = 4096
SUBSETS_OF = 4
"""Changes of names of which every subset is tried; of more, a sample."""


@dataclass(frozen=True, slots=True)
class Thoroughness:
    """How many of the states of one moment are built. All that are, are legal."""

    contents: int
    """Different contents of one unsynced file."""
    orders: int
    """Subsets of the unsynced changes of names, beside the ordered ones."""
    mixtures: int
    """Combinations of both, drawn at random, beside the systematic ones."""


@dataclass(frozen=True, slots=True)
class Content:
    """A file's content in one state."""

    data: bytes
    digest: bytes
    choice: str

    @classmethod
    def of(cls, data: bytes, choice: str) -> Content:
        return cls(data, hashlib.blake2b(data, digest_size=16).digest(), choice)


@dataclass(frozen=True, slots=True)
class State:
    """`key` is the same for equal content."""

    key: bytes
    image: Image
    lost: tuple[EntryChange, ...]
    contents: Mapping[int, Content]

    @property
    def choice(self) -> str:
        """How it came about, for a person."""
        files = [f"inode {inode}: {content.choice}" for inode, content in self.contents.items()]
        return "; ".join([*(f"lost {change}" for change in self.lost), *files]) or "everything is durable"


class Medium:
    """What is durable, and what may be. Given the operations one by one."""

    def __init__(self, fs: MemoryFileSystem) -> None:
        """Everything that `fs` holds now is durable, and its journal is empty."""
        assert not fs.journal
        self._root = fs.root.number
        self._directories: dict[int, dict[str, int]] = {}
        self._synced: dict[int, Content] = {}
        self._cached: dict[int, bytearray] = {}
        """Files with unsynced writes, as a reader sees them."""
        self._writes: dict[int, list[tuple[int, int]]] = {}
        """(begin, end) of each unsynced write."""
        self._others: dict[int, list[bytes]] = {}
        """Contents from before a truncation that is not synced."""
        self._changes: list[EntryChange] = []
        self._contents: dict[int, list[Content]] = {}
        self._learn(fs.root)

    def _learn(self, directory: Directory) -> None:
        names: dict[str, int] = {}
        self._directories[directory.number] = names
        for name, entry in directory.entries.items():
            names[name] = entry.number
            if isinstance(entry, Directory):
                self._learn(entry)
            else:
                self._synced[entry.number] = Content.of(bytes(entry.content), "synced")

    def killed(self) -> tuple[MemoryFileSystem, Medium]:
        """What a kill of the process leaves: all of it is seen, and no more of it is durable than before."""
        directories = {number: dict(names) for number, names in self._directories.items()}
        for change in self._changes:
            _change(directories, change)
        medium = copy.copy(self)
        medium._directories = {number: dict(names) for number, names in self._directories.items()}
        medium._synced = dict(self._synced)
        medium._cached = {inode: bytearray(cached) for inode, cached in self._cached.items()}
        medium._writes = {inode: list(writes) for inode, writes in self._writes.items()}
        medium._others = {inode: list(others) for inode, others in self._others.items()}
        medium._changes = list(self._changes)
        medium._contents = {}
        inodes = {
            inode: Inode(inode, bytes(self._cached.get(inode, content.data)))
            for inode, content in self._synced.items()
        }
        root = _tree(self._root, directories, inodes)
        return MemoryFileSystem.grown(root, max([*inodes, *directories]) + 1), medium

    def apply(self, operation: Operation) -> None:
        match operation:
            case Create(_, _, inode):
                self._synced.setdefault(inode, _EMPTY)
                self._changes.append(operation)
            case MakeDirectory(_, _, inode):
                self._directories.setdefault(inode, {})
                self._changes.append(operation)
            case Remove() | Rename():
                self._changes.append(operation)
            case Write(inode, offset, data):
                cached = self._cached.setdefault(inode, bytearray(self._synced[inode].data))
                cached[offset:] = data
                self._writes.setdefault(inode, []).append((offset, offset + len(data)))
                self._contents.pop(inode, None)
            case Truncate(inode, size):
                cached = self._cached.setdefault(inode, bytearray(self._synced[inode].data))
                self._others.setdefault(inode, []).append(bytes(cached))
                del cached[size:]
                kept = [(begin, min(end, size)) for begin, end in self._writes.get(inode, [])]
                self._writes[inode] = [(begin, end) for begin, end in kept if begin < end]
                self._contents.pop(inode, None)
            case Sync(inode):
                if inode in self._cached:
                    self._settle(inode, bytes(self._cached[inode]))
            case FailedSync(inode):
                if inode in self._cached:
                    self._lose(inode)
            case SyncDirectory(directory):
                self._sync_directory(directory)

    def _settle(self, inode: int, data: bytes) -> None:
        self._synced[inode] = Content.of(data, "synced")
        for pending in (self._cached, self._writes, self._others, self._contents):
            pending.pop(inode, None)

    def _lose(self, inode: int) -> None:
        """What the dropped pages held is never written; what comes after them may be, at its place."""
        synced = self._synced[inode].data
        cached = self._cached[inode]
        cached[len(synced) :] = bytes(max(0, len(cached) - len(synced)))
        self._writes[inode] = [(len(synced), len(cached))] if len(cached) > len(synced) else []
        self._contents.pop(inode, None)

    def _sync_directory(self, directory: int) -> None:
        left = []
        for change in self._changes:
            if _touches(change, directory):
                _change(self._directories, change)
            else:
                left.append(change)
        self._changes = left

    def worst(self) -> Image:
        """What is durable, and nothing else."""
        contents = dict(self._synced)
        return {path: contents[inode].data for path, inode in self._names((), contents)}

    def draw(self, draw: random.Random) -> State:
        """One of the states of a crash now."""
        changes = self._changes
        if draw.random() < 0.5:
            kept = tuple(changes[: draw.randint(0, len(changes))])
        else:
            kept = tuple(change for change in changes if draw.random() < 0.5)
        chosen = {}
        for inode in self._cached:
            options = list(self._possible(inode))
            chosen[inode] = draw.choice((options[0], options[-1], draw.choice(options)))
        return self._state(kept, chosen)

    def states(self, thoroughness: Thoroughness, draw: random.Random) -> Iterator[State]:
        """The states of a crash now; some of them more than once, and not in the order of anything."""
        choices = {inode: self._choices(inode, thoroughness.contents) for inode in self._cached}
        least = {inode: options[0] for inode, options in choices.items()}
        most = {inode: options[-1] for inode, options in choices.items()}
        ordered, any_order = self._orders(thoroughness.orders, draw)
        for kept in [*ordered, *any_order]:
            yield self._state(kept, least)
            yield self._state(kept, most)
        for kept in (ordered[0], ordered[-1]):
            for inode, options in choices.items():
                for option in options[1:-1]:
                    yield self._state(kept, {**least, inode: option})
                    if len(choices) > 1:
                        yield self._state(kept, {**most, inode: option})
        for _ in range(thoroughness.mixtures if choices and self._changes else 0):
            kept = draw.choice([*ordered, *any_order])
            yield self._state(kept, {inode: draw.choice(options) for inode, options in choices.items()})

    def _orders(
        self, most: int, draw: random.Random
    ) -> tuple[list[tuple[EntryChange, ...]], list[tuple[EntryChange, ...]]]:
        """(those that keep the order: nothing kept first, all kept last; others)."""
        changes = self._changes
        ordered = [tuple(changes[:count]) for count in range(len(changes) + 1)]
        if len(changes) <= SUBSETS_OF:
            others = [subset for count in range(1, len(changes)) for subset in combinations(changes, count)]
        else:
            others = [(*changes[:at], *changes[at + 1 :]) for at in range(len(changes) - 1)]
            others += [(change,) for change in changes[1:]]
            for _ in range(most):
                others.append(tuple(change for change in changes if draw.random() < 0.5))
        others = [subset for subset in others if subset != tuple(changes[: len(subset)])]
        return ordered, others if len(others) <= most else draw.sample(others, most)

    def _choices(self, inode: int, most: int) -> list[Content]:
        """Nothing of the unsynced writes first, all of them last."""
        known = self._contents.get(inode)
        if known is None:
            known = self._contents[inode] = list(self._possible(inode))
        if len(known) <= most:
            return known
        step = (len(known) - 1) / (most - 1)
        return [known[round(at * step)] for at in range(most)]

    def _possible(self, inode: int) -> Iterator[Content]:
        synced, full = self._synced[inode], bytes(self._cached[inode])
        yield synced
        begin, end = len(synced.data), len(full)
        cuts = {edge for write in self._writes.get(inode, []) for edge in write if begin < edge < end}
        for unit in (SECTOR_BYTES, PAGE_BYTES):
            cuts.update(range(begin - begin % unit + unit, end, unit))
        for cut in sorted(cuts):
            yield Content.of(full[:cut], f"through offset {cut}")
        if end > begin:
            yield Content.of(full[:begin] + bytes(end - begin), "its size alone")
        for unit in (SECTOR_BYTES, PAGE_BYTES):
            for lost in range(begin - begin % unit, end, unit):
                first, last = max(lost, begin), min(lost + unit, end)
                if last - first < end - begin:
                    yield Content.of(
                        full[:first] + bytes(last - first) + full[last:], f"without {first} to {last}"
                    )
        for other in self._others.get(inode, []):
            yield Content.of(other, "before the truncation")
        yield Content.of(full, "all")

    def _state(self, kept: tuple[EntryChange, ...], chosen: dict[int, Content]) -> State:
        contents = self._synced | chosen
        names = list(self._names(kept, contents))
        digest = hashlib.blake2b(digest_size=16)
        for path, inode in sorted(names):
            digest.update(path.encode())
            digest.update(contents[inode].digest if inode in contents else b"directory")
        image = {path: contents[inode].data if inode in contents else b"" for path, inode in names}
        lost = tuple(change for change in self._changes if change not in kept)
        return State(digest.digest(), image, lost, chosen)

    def _names(self, kept: Iterable[EntryChange], contents: dict[int, Content]) -> Iterator[tuple[str, int]]:
        directories = self._directories
        if kept:
            directories = {number: dict(names) for number, names in directories.items()}
            for change in kept:
                _change(directories, change)
        stack = [("/", self._root)]
        while stack:
            path, number = stack.pop()
            for name, inode in directories[number].items():
                if inode in contents:
                    yield path + name, inode
                else:
                    yield f"{path}{name}/", inode
                    stack.append((f"{path}{name}/", inode))


_EMPTY = Content.of(b"", "new")


def _tree(number: int, directories: dict[int, dict[str, int]], inodes: dict[int, Inode]) -> Directory:
    directory = Directory(number)
    directory.entries = {
        name: inodes.get(entry) or _tree(entry, directories, inodes)
        for name, entry in directories[number].items()
    }
    return directory


def _touches(change: EntryChange, directory: int) -> bool:
    if isinstance(change, Rename):
        return directory in (change.source, change.target)
    return change.directory == directory


def _change(directories: dict[int, dict[str, int]], change: EntryChange) -> None:
    """Names may be missing that a change takes away: those whose own making was lost."""
    match change:
        case Create(directory, name, inode) | MakeDirectory(directory, name, inode):
            directories[directory][name] = inode
        case Remove(directory, name):
            directories[directory].pop(name, None)
        case Rename(source, source_name, target, target_name, inode):
            if directories[source].get(source_name) == inode:
                del directories[source][source_name]
            directories[target][target_name] = inode
