"""From files that are whole to a database at an exact position, and into its place.

The log of a backup and the archived log go into tables here, in a directory of their own: what is put in
place is tables at one position, by the replacement of one file (`store.checkpoint.install`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from replicad.backup.meta import BackupMeta
from replicad.backup.restorable import check_manifest
from replicad.backup.restore.destination import Destination
from replicad.env import Env
from replicad.env.atomic import link_or_copy
from replicad.errors import CorruptionError
from replicad.options import Options
from replicad.store.copies.checkpoint import install
from replicad.store.database import open_database
from replicad.store.directory.options_file import encode_options, option_files, read_options, write_options
from replicad.store.manifest.file import load
from replicad.store.wal.frames import LogChunk
from replicad.types import Position

NO_COMPACTION = Options(
    durability="async",
    level0_compaction_tables=1 << 30,
    level0_stall_tables=1 << 31,
    level_base_bytes=1 << 62,
    disk_reserve_bytes=0,
)
"""For replaying: what follows compacts when it is opened for good."""


def build(
    env: Env, files: Mapping[str, Path], directory: Path, meta: BackupMeta, log: Iterable[LogChunk]
) -> Position:
    """Makes `directory` out of verified files: a database without log. The position that it holds.

    `files` are by path in the backup.

    `log` continues the backup. Raises CorruptionError when files, list and manifest do not agree.
    """
    fs = env.fs

    # Built anew each time: an earlier attempt may have applied log in this directory.
    fs.remove_tree(directory)
    for file in meta.database_files:
        path = directory / file.path
        fs.make_directories(path.parent)
        link_or_copy(fs, files[file.path], path)

    # Each file is whole by itself; only the manifest shows whether they belong together.
    state = load(fs, directory)
    check_manifest(state, meta, directory)

    # Without any log the tables are the position already.
    log = iter(log)
    first = next(log, None)
    if first is None and meta.position == meta.flushed:
        return meta.position

    # What is put in place has no log, so the log of the backup and the archived log go into tables here.
    with open_database(directory, NO_COMPACTION, env=env, role="replica") as database:
        if database.position != meta.position:
            raise CorruptionError(
                "the log of the backup ends elsewhere",
                path=directory,
                offset=0,
                expected=meta.position,
                got=database.position,
            )

        while first is not None:
            if database.stalled:
                database.flush()
            database.apply_frames(first.frames)
            first = next(log, None)
        database.flush()
        return database.position


def put_in_place(env: Env, built: Path, destination: Destination, options: Path | None) -> None:
    """Replaces the database at the destination, whose locks are held; `options` is the backup's options file.

    Until CURRENT is replaced the old database opens, and from then on the new one.
    """
    install(env, built, destination.path, destination.wal_dir)
    if options is not None:
        _put_options(env, options, destination)


def _put_options(env: Env, options: Path, destination: Destination) -> None:
    """The options of the backup, with the log directory of the destination."""
    fs = env.fs
    known, unknown = read_options(fs, options)
    old = option_files(fs, destination.path)
    number = int(old[-1].removeprefix("OPTIONS-").removesuffix(".toml")) + 1 if old else 1
    content = encode_options(replace(known, wal_dir=destination.wal_dir), unknown)
    write_options(fs, destination.path, number, content)
    for name in old:
        fs.unlink(destination.path / name)
