"""Where a replica keeps tables that rotted: `quarantine/` in its data directory.

A repair fetches a table again and removes the one that was here. The damaged one stays in this directory
under its name, for `replicad inspect` and for the operator who has to decide about the disk. Nothing else
reads it.
"""

from __future__ import annotations

from pathlib import Path

from replicad.env import FileSystem
from replicad.env.atomic import link_or_copy
from replicad.store.received.aside import QUARANTINE
from replicad.store.table.meta import is_table_name

DIRECTORY = QUARANTINE
TABLES_MAX = 8
"""The newest that stay: a dying disk must not fill itself with what it damaged."""


def is_table_of(data: Path, path: Path) -> bool:
    return path.parent == data.absolute() and is_table_name(path.name)


def kept_aside(fs: FileSystem, data: Path) -> list[Path]:
    """The tables that are kept, of all repairs."""
    return [data / DIRECTORY / name for name in fs.list(data / DIRECTORY) if is_table_name(name)]


def keep_aside(fs: FileSystem, table: Path) -> Path:
    """Where the table is kept from now on, durably. Raises OSError, FileNotFoundError when it is gone."""
    directory = table.parent / DIRECTORY
    fs.make_directories(directory)
    tables = [name for name in fs.list(directory) if is_table_name(name)]
    oldest_first = sorted(tables, key=lambda name: (len(name), name))
    for name in oldest_first[: 1 - TABLES_MAX]:
        fs.unlink(directory / name)
    kept = directory / table.name
    fs.unlink(kept)  # of a table that had this number before a restore
    link_or_copy(fs, table, kept)
    fs.sync_directory(directory)
    return kept
