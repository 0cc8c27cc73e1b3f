"""A database that is written: a Core, with what its changes need, and the changes that several parts
share: swapping the version, recording an edit in the manifest, removing tables.

All of it is there from the construction on. What runs while the database is open (threads, the write path)
is built on it afterwards: `store.open.starting`.

Locks, in the order in which they are taken:
    write_lock      numbers, log appends and memtable inserts; sealing
    manifest_lock   edits of the manifest, one after another, each with its sync
    version_lock    swapping `version`; held for a moment
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from replicad.env import DirectoryLock, Env, is_no_room
from replicad.env.durations import Durations
from replicad.errors import CorruptionError, DiskFullError
from replicad.options import FamilyOptions, Options
from replicad.store.core import Core, Role
from replicad.store.directory.options_file import keep_options
from replicad.store.holds.deletions import Deletions
from replicad.store.holds.log_holds import LogHolds
from replicad.store.holds.pins import Pins
from replicad.store.manifest.edit import Edit
from replicad.store.manifest.file import ManifestWriter
from replicad.store.manifest.state import ManifestState
from replicad.store.marks import Marks
from replicad.store.pressure import Pressure, Work, pressure
from replicad.store.table.meta import TableMeta, table_name
from replicad.store.version import Version
from replicad.store.wal.writer import LogWriter
from replicad.types import FileNumber, Position


@dataclass(slots=True)
class Counters:
    """What `stats` reports of the past; since opening."""

    flushes: int = 0
    flushed_bytes: int = 0
    compactions: int = 0
    compaction_bytes_read: int = 0
    compaction_bytes_written: int = 0
    stalls: int = 0
    stalled_seconds: float = 0.0


class Timings:
    """How long it took, each time, since opening."""

    __slots__ = ("apply", "sync")

    def __init__(self) -> None:
        self.sync = Durations()
        """From the beginning of a sync of the log until the store knows of its end."""
        self.apply = Durations()
        """Frames of another node: checked, appended and inserted, a piece at once."""


class NumberSource:
    """File numbers, never given twice; under its own lock because merges run beside each other."""

    def __init__(self, first: FileNumber) -> None:
        self._lock = threading.Lock()
        self._next = first

    @property
    def next(self) -> FileNumber:
        return self._next

    def take(self) -> FileNumber:
        with self._lock:
            number = self._next
            self._next = FileNumber(number + 1)
            return number

    def at_least(self, number: FileNumber) -> None:
        with self._lock:
            self._next = max(self._next, number)


class WritableCore(Core):
    __slots__ = (
        "counters",
        "damage",
        "deletions",
        "found_no_room",
        "holds",
        "lock",
        "log",
        "manifest",
        "manifest_lock",
        "marks",
        "no_room",
        "numbers",
        "pins",
        "pressure",
        "refused",
        "stalled",
        "timings",
        "unknown_options",
        "unlinked_later",
        "write_lock",
    )

    def __init__(
        self,
        env: Env,
        path: Path,
        options: Options,
        role: Role,
        *,
        lock: DirectoryLock,
        manifest: ManifestWriter,
        deletions: Deletions,
        holds: LogHolds | None,
    ) -> None:
        """`lock` is held. `manifest` removes files through `deletions`. `holds` is None where only the store
        itself needs the log."""
        state = manifest.state
        super().__init__(env, path, options, role, state)
        self.lock = lock
        self.deletions = deletions
        self.pins = Pins()
        self.unlinked_later: set[FileNumber] = set()
        """Tables that no version has any more, and a pin still holds. Under the version lock."""

        self.manifest = manifest
        self.manifest_lock = threading.Lock()
        self.numbers = NumberSource(state.next_file)

        self.write_lock = threading.RLock()
        """Not for taking it twice, but to notice who would wait for itself."""
        self.log = LogWriter(
            env, self.catalog, state.database_id, state.flushed, 0, options.segment_bytes, self.write_lock
        )
        self.holds = holds
        self.marks = Marks(self.leases)

        self.counters = Counters()
        self.timings = Timings()
        self.unknown_options: dict[str, Any] = {}
        """What the options file says and this version does not know."""

        self.no_room: dict[Work, str] = {}
        """What background work says that waits for room on the disk. Under the version lock."""
        self.found_no_room: Counter[Work] = Counter()
        """How often it looked for some in vain."""
        self.damage: CorruptionError | None = None
        self.pressure: Pressure | None = None
        """What `stalled` and `refused` are taken from."""
        self.stalled: str | None = None
        self.refused: str | None = None

    @property
    def written(self) -> Position:
        return self.log.written

    @property
    def commit_time_us(self) -> int:
        return self.log.frames.commit_time_us

    def swap_version(self, change: Callable[[Version], Version]) -> Version:
        with self.version_lock:
            self.version = change(self.version)
            self._judge_pressure()
            version = self.version
        self.progress.moved()
        return version

    def record(self, edit: Edit) -> None:
        """Makes the edit durable. DiskFullError changes nothing; any other failure poisons the store: what
        the manifest says is unknown then."""
        self.record_made(lambda _: edit)

    def record_made(self, make: Callable[[ManifestState], Edit | None]) -> bool:
        """`record` of an edit that depends on what the manifest says. False when `make` returns None, so that
        there is nothing to record."""
        with self.manifest_lock:
            edit = make(self.manifest.state)
            if edit is None:
                return False
            numbered = self.manifest.state.next_file
            self.numbers.at_least(numbered)
            try:
                self.manifest.append(edit)
            except OSError as error:
                self.progress.fail(error)
                raise
            self.state = self.manifest.state
            return True

    def found_damage(self, error: CorruptionError) -> None:
        with self.version_lock:
            self.damage = self.damage or error
            self._judge_pressure()
        self.progress.moved()

    def remove_tables(self, metas: Iterable[TableMeta] = ()) -> None:
        """Unlinks tables that no version to come will have, and those of earlier calls that were pinned then.
        Open ones stay readable."""
        with self.version_lock:
            gone = self.unlinked_later.union(meta.number for meta in metas)
            self.unlinked_later = gone & self.pins.tables()
            free = sorted(gone - self.unlinked_later)
        self.deletions.remove([self.path / table_name(number) for number in free])

    def keep_family_options(self, name: str, options: FamilyOptions) -> None:
        """For this opening and, by the options file, for those after it. Raises DiskFullError."""
        with self.manifest_lock:
            families = {**self.family_options, name: options}
            kept = replace(self.options, families=families)
            try:
                keep_options(self.env.fs, self.path, kept, [], self.deletions.remove)
            except OSError as error:
                if not is_no_room(error):
                    raise
                raise DiskFullError(f"{self.path}: no room for the options file") from error
            self.family_options, self.options = families, kept

    def write_options(self) -> None:
        """The options file says what `options` says, for the next opening; without room it does so later."""
        with self.manifest_lock, suppress(OSError):
            keep_options(self.env.fs, self.path, self.options, [], self.deletions.remove)

    def note_room(self, work: Work, missing: str | None) -> None:
        """What background work lacks on the disk, or that it lacks nothing."""
        if missing is None and work not in self.no_room:
            return
        with self.version_lock:
            if missing is None:
                del self.no_room[work]
            else:
                self.no_room[work] = missing
                self.found_no_room[work] += 1
            self._judge_pressure()
        self.progress.moved()

    @property
    def lacks_room(self) -> str | None:
        """Of several kinds of work any one: they share the disk."""
        return next(iter(list(self.no_room.values())), None)

    def _judge_pressure(self) -> None:
        level0 = max(len(family.levels[0]) for family in self.version.live())
        found = pressure(len(self.version.sealed), level0, self.options, self.no_room, self.damage)
        self.pressure = found
        self.refused = found.reason if found is not None and found.refuses else None
        self.stalled = None if found is None else found.reason
