"""A script that was played, and the copies that it made, as whoever comes after the crash opens them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from replicad import BackupEngineOptions, BackupEngineReadOnly, Options
from replicad.env import Env
from replicad.store.database import Database, open_database
from tests.crash.script import Script

ONE_AT_A_TIME = BackupEngineOptions(max_background_operations=1)


class Copy(Protocol):
    def open(self, env: Env, options: Options) -> Database | None:
        """Opens it to be read. None when there is no such copy; an error when it is not whole."""
        ...


@dataclass(frozen=True)
class Checkpoint:
    path: Path

    def open(self, env: Env, options: Options) -> Database | None:
        if not env.fs.exists(self.path):
            return None
        return open_database(self.path, options, env=env, read_only=True)


@dataclass(frozen=True)
class Backup:
    """One id at a target, which must have no other that cannot be read."""

    root: Path
    id: int

    def open(self, env: Env, options: Options) -> Database | None:
        engine = BackupEngineReadOnly(self.root, ONE_AT_A_TIME, env=env)
        if damaged := engine.get_corrupted_backups():
            raise AssertionError(f"backups that cannot be read: {damaged}")
        if self.id not in [info.id for info in engine.get_backup_info()]:
            return None
        engine.verify_backup(self.id, checksums=True).raise_if_damaged()
        return engine.open_backup(self.id, options)


@dataclass
class Recording:
    """A played script; for a replica also its primary's frames, by sequence number, to go on with."""

    script: Script
    frames: Mapping[int, bytes] = field(default_factory=dict)
    copies: Mapping[str, Copy] = field(default_factory=dict)
    """What must open at a position of the history wherever it exists."""
    changes_role: bool = False
    """The manifest says whose the database is."""
    second_states_max: int = 1 << 30
    """Of each recovery, where there are many states and the recoveries are those of other workloads."""
