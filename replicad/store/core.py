"""The parts of an open database, and the two changes that all of them share: swapping the version, and
recording an edit in the manifest.

Locks, in the order in which they are taken:
    write_lock      numbers, log appends and memtable inserts; sealing
    manifest_lock   edits of the manifest, one after another, each with its sync
    version_lock    swapping `version`; held for a moment
Readers take none of them: they read `version` once and then a sequence number.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from replicad import kernels
from replicad.env import DirectoryLock, Env, is_no_room
from replicad.errors import CorruptionError, DiskFullError
from replicad.options import FamilyOptions, Options
from replicad.store.commit_clock import CommitClock
from replicad.store.compaction.picker import Shape
from replicad.store.directory.options_file import keep_options
from replicad.store.holds.deletions import Deletions
from replicad.store.holds.leases import Leases
from replicad.store.holds.log_holds import LogHolds
from replicad.store.holds.pins import Pins
from replicad.store.holds.snapshots import SnapshotRegistry
from replicad.store.manifest.edit import Edit
from replicad.store.manifest.file import ManifestWriter
from replicad.store.manifest.state import ManifestState
from replicad.store.marks import Marks
from replicad.store.pressure import Pressure, Work, pressure
from replicad.store.progress import LogProgress
from replicad.store.syncer import Syncer
from replicad.store.table.meta import TableMeta, table_name
from replicad.store.version import Version
from replicad.store.wal.catalog import LogCatalog
from replicad.store.wal.writer import LogWriter
from replicad.types import DatabaseId, FileNumber, Sequence

Role = Literal["owner", "replica"]


@dataclass(slots=True)
class Counters:
    """What `stats` tells of the past; since opening."""

    flushes: int = 0
    flushed_bytes: int = 0
    compactions: int = 0
    compaction_bytes_read: int = 0
    compaction_bytes_written: int = 0
    stalls: int = 0
    stalled_seconds: float = 0.0


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


@dataclass(slots=True, kw_only=True)
class Core:
    env: Env
    path: Path
    options: Options
    role: Role
    read_only: bool
    lock: DirectoryLock | None
    database_id: DatabaseId
    state: ManifestState
    manifest: ManifestWriter | None
    catalog: LogCatalog
    log: LogWriter
    memtables: kernels.MemtableSet
    cache: kernels.BlockCache
    progress: LogProgress
    snapshots: SnapshotRegistry
    numbers: NumberSource
    syncer: Syncer | None
    holds: LogHolds | None
    version: Version
    notes: list[str]
    """What opening had to say: torn tails, files passed over."""
    write_lock: threading.RLock
    """Not for taking it twice, but to notice who would wait for itself."""
    manifest_lock: threading.Lock = field(default_factory=threading.Lock)
    version_lock: threading.Lock = field(default_factory=threading.Lock)
    closing: threading.RLock = field(default_factory=threading.RLock)
    """Held by who closes; whoever else does waits for it."""
    pins: Pins = field(default_factory=Pins)
    unlinked_later: set[FileNumber] = field(default_factory=set)
    """Tables that no version has any more, and a pin still holds. Under the version lock."""
    counters: Counters = field(default_factory=Counters)
    family_options: dict[str, FamilyOptions] = field(default_factory=dict)
    """By name; a family that is not here has the database's."""
    damage: CorruptionError | None = None
    """Rot that a merge met in its inputs: nothing is compacted from then on."""
    stalled: str | None = None
    """Why writers wait, or None."""
    refused: str | None = None
    """The same when writers do not wait, but are refused."""
    pressure: Pressure | None = None
    """What `stalled` and `refused` are taken from."""
    no_room: dict[Work, str] = field(default_factory=dict)
    """What background work says that waits for room on the disk. Under the version lock."""
    found_no_room: Counter[Work] = field(default_factory=Counter)
    """How often it looked for some in vain."""
    unknown_options: dict[str, Any] = field(default_factory=dict)
    """What the options file says and this version does not know."""
    leases: Leases = field(init=False)
    commit_clock: CommitClock = field(init=False)
    marks: Marks[Any] = field(init=False)
    """Of `Snapshot`s, which know this class."""
    deletions: Deletions = field(init=False)

    def __post_init__(self) -> None:
        self.leases = Leases(self.env.clock)
        self.commit_clock = CommitClock(self.env.clock, self.options.clock_jump_seconds_max)
        self.marks = Marks(self.leases)
        self.deletions = Deletions(self.env.fs)

    @property
    def shape(self) -> Shape:
        options = self.options
        return Shape(options.level0_compaction_tables, options.level_base_bytes, options.level_multiplier)

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
        assert self.manifest is not None
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

    def forget_dropped(self, *, wait: bool = True) -> None:
        """Lets go of dropped families that no snapshot reads. Without `wait` only if nobody is in the way."""
        if not self.version.dropped or not self.version_lock.acquire(blocking=wait):
            return
        try:
            oldest = min([self.progress.visible, *self.snapshots.sequences()])
            self.version = self.version.forgetting(lambda dropped: dropped <= oldest)
        finally:
            self.version_lock.release()

    @property
    def log_pins(self) -> Counter[Sequence]:
        """How many cuts hold the log from a sequence number on."""
        return self.pins.log_from()

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

    def forget_family_options(self, name: str) -> None:
        """Of a family that is dropped: the next of that name has the database's."""
        if name in self.family_options:
            kept = {other: options for other, options in self.family_options.items() if other != name}
            self.family_options, self.options = kept, replace(self.options, families=kept or None)

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

    def _judge_pressure(self) -> None:
        level0 = max(len(family.levels[0]) for family in self.version.live())
        found = pressure(len(self.version.sealed), level0, self.options, self.no_room, self.damage)
        self.pressure = found
        self.refused = found.reason if found is not None and found.refuses else None
        self.stalled = None if found is None else found.reason
