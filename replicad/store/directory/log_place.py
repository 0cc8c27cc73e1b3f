"""Where the log of a database lies, and whether it was left somewhere else.

An opening with another `wal_dir` than the last would find the tables alone: what only the log holds would be
missing, although it was acknowledged, and what is written then would begin another history.

A log directory apart says whose it is (OWNER): a copy has the database id of its original, so its segments do
not tell, and what is opened or put in place with the original's log directory removes that log.
"""

from __future__ import annotations

import os
from pathlib import Path

from replicad.env import FileSystem, is_no_room
from replicad.env.atomic import replace_file
from replicad.errors import ConfigError, CorruptionError, InvalidArgument
from replicad.options import Options
from replicad.store.directory.options_file import option_files, read_options
from replicad.store.manifest.state import ManifestState
from replicad.store.wal.catalog import find_segments
from replicad.store.wal.frames import frame_headers
from replicad.store.wal.recovery import log_after
from replicad.store.wal.segment import HEADER_BYTES, Segment

OWNER = "OWNER"
"""In a log directory apart: the path of the database's directory."""


def wal_dir_of(path: Path, options: Options) -> Path:
    return path / "wal" if options.wal_dir is None else options.wal_dir.absolute()


def check_wal_dir(path: Path, options: Options) -> None:
    """Raises InvalidArgument for a directory that cannot be the log's."""
    wal = wal_dir_of(path, options)
    if wal in (path, path / "archive"):
        raise InvalidArgument(f"wal_dir is a directory of its own, not {wal}, which the database itself uses")
    try:
        if options.wal_dir is not None:
            str(wal).encode()
    except UnicodeEncodeError as error:
        raise InvalidArgument(f"wal_dir is kept in the options file: UTF-8, not {str(wal)!r}") from error


def check_log_is_here(fs: FileSystem, path: Path, options: Options, state: ManifestState) -> None:
    """Raises ConfigError when the directory of the last opening has log that the tables lack, and the one of
    now has none of it."""
    here, before = wal_dir_of(path, options), _last_place(fs, path)
    if here == before or state.log_replaced:
        return
    if _has_unflushed(fs, before, state) and not _has_unflushed(fs, here, state):
        raise ConfigError(
            f"wal_dir: the log of {path} is in {before}, not in {here}, and tables do not hold all of it "
            f"yet: open it with the former, or move the segments first"
        )


def check_log_is_ours(fs: FileSystem, path: Path, wal: Path) -> None:
    """Raises ConfigError when `wal` is the log directory of a database in another directory than `path`.
    One that is gone, or has its log somewhere else by now, owns nothing."""
    if wal == path / "wal" or not fs.exists(wal / OWNER):
        return
    owner = Path(os.fsdecode(fs.read_file(wal / OWNER)))
    if owner.resolve() == path.resolve() or not fs.exists(owner / "CURRENT"):
        return
    if _last_place(fs, owner) == wal:
        raise ConfigError(
            f"wal_dir: {wal} has the log of the database in {owner}, which {path} would remove: name a "
            f"directory of its own (or, where both are one directory, remove {wal / OWNER})"
        )


def own_log_directory(fs: FileSystem, path: Path, wal: Path) -> None:
    """Writes down whose log directory it is, after `check_log_is_ours`; where there is no room for that, the
    next opening does."""
    said = os.fsencode(path)
    if wal == path / "wal" or (fs.exists(wal / OWNER) and fs.read_file(wal / OWNER) == said):
        return
    try:
        replace_file(fs, wal / OWNER, said)
    except OSError as error:
        if not is_no_room(error):
            raise


def _last_place(fs: FileSystem, path: Path) -> Path:
    names = option_files(fs, path)
    try:
        options = read_options(fs, path / names[-1])[0] if names else Options()
    except (ConfigError, CorruptionError, FileNotFoundError):
        options = Options()
    return wal_dir_of(path, options)


def _has_unflushed(fs: FileSystem, wal: Path, state: ManifestState) -> bool:
    """Whether a frame there lies after what the tables hold."""
    try:
        segments, _ = find_segments(fs, wal, wal, state.database_id, 0.0)
        ours = [segment for segment in segments if segment.first_sequence > state.log_start.sequence]
        after = log_after(ours, state.flushed, flushed_log_is_archived=False)
        return any(_reaches_beyond(fs, segment, state) for segment in after)
    except OSError:  # Unmounted, or not ours to read.
        return False


def _reaches_beyond(fs: FileSystem, segment: Segment, state: ManifestState) -> bool:
    file = fs.open(segment.path)
    try:
        return any(
            header.first_sequence > state.flushed.sequence
            for _, header in frame_headers(file, HEADER_BYTES, file.size(), state.database_id)
        )
    finally:
        file.close()
