"""The primary's side of a bootstrap: checkpoints that replicas fetch, one a replica.

A copy is a directory under `bootstrap/` in the data directory. Its hard links hold the table files and a slot
holds the log from its position on, so both survive a restart of the primary; the name says whose copy it is
and of what:

    <node id>-<copy id>-<epoch>-<sequence>-<history hash>

A replica that comes back finds its copy again. A copy goes away when its replica installed it, when its log
is gone, or when nobody has read from it for a long time.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from replicad.env import Env
from replicad.replication.ports import ListFiles
from replicad.replication.wire.headers import FileEntry
from replicad.replication.wire.messages import FILES_ENTRIES_MAX, Copy, Files
from replicad.store.copies.checkpoint import CopyFile
from replicad.store.database import Database
from replicad.types import Epoch, HistoryHash, Position
from replicad.types import Sequence as SequenceNumber

DIRECTORY = "bootstrap"

_NAME = re.compile(r"([0-9a-f]{32})-([0-9a-f]{32})-(\d{1,10})-(\d{1,20})-([0-9a-f]{16})")


@dataclass(slots=True)
class SourceCopy:
    """One copy with its list; `entries` in the order that FETCH counts."""

    path: Path
    node_id: bytes
    copy_id: bytes
    position: Position
    entries: tuple[FileEntry, ...] = ()
    used_at: float = 0.0
    sent_bytes: int = 0
    in_use: bool = field(default=False)

    @property
    def size_bytes(self) -> int:
        return sum(entry.size for entry in self.entries)

    def announcement(self) -> list[Copy | Files]:
        """The messages that tell the replica what there is."""
        parts: list[Copy | Files] = [Copy(self.copy_id, self.position, len(self.entries), self.size_bytes)]
        for first in range(0, len(self.entries), FILES_ENTRIES_MAX):
            parts.append(Files(first, self.entries[first : first + FILES_ENTRIES_MAX]))
        return parts


class Copies:
    """The copies of a primary. `find`, `make`, `remove` block: in a thread, one at a time a node. Any thread
    calls the rest."""

    def __init__(self, env: Env, source: Database, data_dir: Path, list_files: ListFiles) -> None:
        self._env = env
        self._source = source
        self._list_files = list_files
        self.directory = data_dir / DIRECTORY
        self._lock = threading.Lock()
        self._copies: dict[bytes, SourceCopy] = {}

    def load(self) -> None:
        """Finds the copies that were there before a restart; removes what was left half made."""
        for name in self._env.fs.list(self.directory):
            path = self.directory / name
            match = _NAME.fullmatch(name)
            if match is None:
                if name != "incoming":
                    self._env.fs.remove_tree(path)
                continue
            position = Position(
                Epoch(int(match[3])), SequenceNumber(int(match[4])), HistoryHash(int(match[5], 16))
            )
            node_id = bytes.fromhex(match[1])
            copy = SourceCopy(path, node_id, bytes.fromhex(match[2]), position)
            copy.used_at = self._env.clock.monotonic()
            self._copies[node_id] = copy

    def find(self, node_id: bytes) -> SourceCopy | None:
        """The replica's copy if it can still be followed by the log; one that cannot is removed."""
        copy = self._copies.get(node_id)
        if copy is None:
            return None
        if self._source.oldest_log_sequence > copy.position.sequence + 1:
            self.remove(copy)
            return None
        copy.used_at = self._env.clock.monotonic()  # Another's copy does not take its place now.
        if not copy.entries:
            copy.entries = _entries(self._list_files(copy.path))
        return copy

    def make(self, node_id: bytes) -> SourceCopy:
        """Cuts a new checkpoint, flushed, and lists it."""
        fs = self._env.fs
        fs.make_directories(self.directory)

        # Made under a name that `load` removes: a crash leaves no half copy under a name that counts.
        copy_id = self._env.random.bytes(16)
        making = self.directory / f"{copy_id.hex()}.making"
        position = self._source.create_base_copy(making)

        last = f"{position.epoch}-{position.sequence}-{position.history_hash:016x}"
        name = f"{node_id.hex()}-{copy_id.hex()}-{last}"
        path = self.directory / name
        fs.rename(making, path)
        fs.sync_directory(self.directory)

        copy = SourceCopy(path, node_id, copy_id, position, _entries(self._list_files(path)))
        copy.used_at = self._env.clock.monotonic()

        with self._lock:
            self._copies[node_id] = copy
        return copy

    def remove(self, copy: SourceCopy) -> None:
        with self._lock:
            if self._copies.get(copy.node_id) is copy:
                del self._copies[copy.node_id]
        # Its name goes first, durably: what a loss of power leaves of it is not a copy.
        fs, gone = self._env.fs, self.directory / f"{copy.copy_id.hex()}.removed"
        try:
            fs.rename(copy.path, gone)
        except FileNotFoundError:
            return  # Somebody else removed it.
        fs.sync_directory(self.directory)
        fs.remove_tree(gone)

    def unused(self, keep_seconds: float) -> list[SourceCopy]:
        """Copies that nobody has read from for longer than `keep_seconds`."""
        now = self._env.clock.monotonic()
        return [copy for copy in self._all() if not copy.in_use and now - copy.used_at > keep_seconds]

    def least_used(self) -> SourceCopy | None:
        """Of those that nobody reads now; None when there is none."""
        idle = [copy for copy in self._all() if not copy.in_use]
        return min(idle, key=lambda copy: copy.used_at, default=None)

    def __len__(self) -> int:
        return len(self._copies)

    def get(self, node_id: bytes) -> SourceCopy | None:
        """The replica's copy as it is, without looking at the disk."""
        return self._copies.get(node_id)

    def _all(self) -> tuple[SourceCopy, ...]:
        """Those of one moment: others come and go in threads."""
        with self._lock:
            return tuple(self._copies.values())


def _entries(files: Sequence[CopyFile]) -> tuple[FileEntry, ...]:
    return tuple(FileEntry(file.name, file.size_bytes, file.sha256) for file in files)
