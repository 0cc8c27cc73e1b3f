"""What reading an open database needs, all of it there from the construction on.

The tables are open then. The opening adds the log: its entries to the memtables, its end to `progress`, and
what it says of column families to `version`. After that a database that is only read does not change.
`WritableCore` is a Core that changes.

A read takes no lock: it reads `version` once, and then a sequence number. `version_lock` is for swapping the
version, and held for a moment.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from replicad import kernels
from replicad.env import Env
from replicad.errors import CorruptionError
from replicad.options import Options
from replicad.store.commit_clock import CommitClock
from replicad.store.compaction.picker import Shape
from replicad.store.directory.log_place import wal_dir_of
from replicad.store.holds.leases import Leases
from replicad.store.holds.snapshots import SnapshotRegistry
from replicad.store.manifest.state import ManifestState
from replicad.store.progress import LogProgress
from replicad.store.table.file import open_table
from replicad.store.version import Version
from replicad.store.wal.catalog import LogCatalog
from replicad.types import Position

Role = Literal["owner", "replica"]


class Core:
    __slots__ = (
        "cache",
        "catalog",
        "closing",
        "commit_clock",
        "database_id",
        "env",
        "family_options",
        "leases",
        "memtables",
        "notes",
        "options",
        "path",
        "progress",
        "recovered_time_us",
        "role",
        "snapshots",
        "state",
        "version",
        "version_lock",
    )

    def __init__(
        self,
        env: Env,
        path: Path,
        options: Options,
        role: Role,
        state: ManifestState,
    ) -> None:
        """Opens the tables that `state` names."""
        self.env = env
        self.path = path
        self.options = options
        self.family_options = dict(options.families or {})
        """By name; a family that is not here has the database's."""
        self.role = role
        self.state = state
        self.database_id = state.database_id
        self.catalog = LogCatalog(env.fs, wal_dir_of(path, options), path / "archive")

        self.cache = kernels.BlockCache(options.block_cache_bytes)
        tables = [open_table(env.fs, path, meta, self.cache) for meta in state.tables]
        self.version = Version.opened(state.families, state.flushed, tables)
        self.version_lock = threading.Lock()
        self.memtables = kernels.MemtableSet()
        for family in self.version.live():
            self.memtables.set(family.record.id, family.active)

        self.progress = LogProgress(
            state.flushed,
            visible_when_durable=options.durability == "sync" and role == "owner",
            new_bells=env.runner.bells,
        )
        self.snapshots = SnapshotRegistry(self.progress)
        self.leases = Leases(env.clock)
        self.commit_clock = CommitClock(env.clock, options.clock_jump_seconds_max)
        self.recovered_time_us = state.commit_time_us
        """The commit time of the last batch that the opening found."""

        self.notes: list[str] = []
        """What opening had to say: torn tails, files passed over."""
        self.closing = threading.RLock()
        """The thread that closes holds it; another one that closes waits for it."""

    # What a database that is written answers otherwise

    @property
    def written(self) -> Position:
        """After the last batch."""
        return self.progress.durable_position

    @property
    def commit_time_us(self) -> int:
        """Of the last batch; 0 in an empty database."""
        return self.recovered_time_us

    @property
    def stalled(self) -> str | None:
        """Why writers wait, or None."""
        return None

    @property
    def refused(self) -> str | None:
        """The same when writers do not wait, but are refused."""
        return None

    @property
    def lacks_room(self) -> str | None:
        """What background work finds no room for, or None."""
        return None

    @property
    def damage(self) -> CorruptionError | None:
        """Rot that a merge met in its inputs: nothing is compacted from then on."""
        return None

    def swap_version(self, change: Callable[[Version], Version]) -> Version:
        with self.version_lock:
            self.version = version = change(self.version)
        return version

    # What both do

    @property
    def shape(self) -> Shape:
        options = self.options
        return Shape(options.level0_compaction_tables, options.level_base_bytes, options.level_multiplier)

    def forget_dropped(self, *, wait: bool = True) -> None:
        """Lets go of dropped families that no snapshot reads. Without `wait` only if nobody is in the way."""
        if not self.version.dropped or not self.version_lock.acquire(blocking=wait):
            return
        try:
            oldest = min([self.progress.visible, *self.snapshots.sequences()])
            self.version = self.version.forgetting(lambda dropped: dropped <= oldest)
        finally:
            self.version_lock.release()

    def forget_family_options(self, name: str) -> None:
        """Of a family that is dropped: the next of that name has the database's."""
        if name in self.family_options:
            kept = {other: options for other, options in self.family_options.items() if other != name}
            self.family_options, self.options = kept, replace(self.options, families=kept or None)
