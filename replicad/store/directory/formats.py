"""Whether this program reads every file of a directory, before anything in the directory is changed.

An opening that met a file of a later release halfway would have replaced the manifest by then, and removed
what the manifest does not name. So what may be of a later version is looked at first: the options, the
manifest, the footers of the tables, the headers of the log segments, and the flags of the frames that tables
do not hold. Nothing else is checked: damage is for the opening to judge.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from replicad import kernels
from replicad.env import FileSystem
from replicad.errors import ConfigError, CorruptionError, NewerFormatError, NotFoundError
from replicad.options import Options
from replicad.store.directory.log_place import wal_dir_of
from replicad.store.directory.options_file import (
    RELEASE,
    option_files,
    read_options,
    release_that_opened,
)
from replicad.store.manifest.file import load
from replicad.store.manifest.state import ManifestState
from replicad.store.table.file import read_footer
from replicad.store.wal.catalog import find_segments
from replicad.store.wal.frames import FrameWalk
from replicad.store.wal.recovery import log_after
from replicad.store.wal.segment import HEADER_BYTES, Segment


def check_formats(fs: FileSystem, path: Path, options: Options) -> None:
    """Raises NewerFormatError, which names the file, the format and its version, and what to do.

    Where another release opened the directory last it reads the log that tables lack, and 80 bytes of each
    table. Changes nothing. Raises OSError for a file that is there and cannot be read.
    """
    if not fs.exists(path / "CURRENT"):
        return
    try:
        _check_options(fs, path)
        with _damage_is_for_the_opening():
            state = load(fs, path)
            # An opening reads no table and little log. What this release wrote, or one before releases
            # wrote their names, needs no look.
            if release_that_opened(fs, path) not in (None, RELEASE):
                _check_tables(fs, path, state)
                _check_log(fs, path, options, state)
    except NewerFormatError as error:
        raise NewerFormatError(f"{error}. {_advice(fs, path)}") from None


def _advice(fs: FileSystem, path: Path) -> str:
    release = release_that_opened(fs, path)
    is_known = release not in (None, RELEASE)
    by = f"replicad {release}, which opened {path} last" if is_known else "a later release"
    return (
        f"Nothing was changed. Open it with {by}, or restore a backup that was made before the upgrade into "
        f"another directory"
    )


def _damage_is_for_the_opening() -> contextlib.suppress:
    return contextlib.suppress(CorruptionError, NotFoundError, FileNotFoundError)


def _check_options(fs: FileSystem, path: Path) -> None:
    with _damage_is_for_the_opening(), contextlib.suppress(ConfigError):
        if names := option_files(fs, path):
            read_options(fs, path / names[-1])


def _check_tables(fs: FileSystem, path: Path, state: ManifestState) -> None:
    for meta in state.tables:
        with _damage_is_for_the_opening():
            file = fs.open(path / meta.name)
            try:
                read_footer(file, meta.size_bytes)
            finally:
                file.close()


def _check_log(fs: FileSystem, path: Path, options: Options, state: ManifestState) -> None:
    if state.log_replaced:
        return
    wal = wal_dir_of(path, options)
    segments, _ = find_segments(fs, wal, path / "archive", state.database_id, 0.0)
    for segment in log_after(segments, state.flushed, flushed_log_is_archived=True):
        with _damage_is_for_the_opening():
            _check_frames(fs, segment, state)


def _check_frames(fs: FileSystem, segment: Segment, state: ManifestState) -> None:
    """By the headers of the frames; what is behind damage is not log."""
    file = fs.open(segment.path)
    try:
        before = segment.header.previous.sequence
        walk = FrameWalk(file.read, file.size(), state.database_id, before, HEADER_BYTES)
        while walk.skip():
            pass
        if walk.stop == kernels.SCAN_NEWER:
            reason = f"a frame that this program does not read ({walk.reason})"
            raise NewerFormatError(f"{segment.path}: offset {walk.offset}: {reason}")
    finally:
        file.close()
