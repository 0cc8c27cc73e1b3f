"""Opening a directory for reading while another process may be writing it.

Nothing is locked and nothing changed, so tables, segments and the manifest may go between being named and
being opened. What looks like damage then is judged again as long as the directory has changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from replicad.env import Env, FileSystem
from replicad.errors import CatchUpError, CorruptionError
from replicad.options import FamilyOptions, Options
from replicad.store.core import Core, Role
from replicad.store.directory.log_place import check_log_is_here, wal_dir_of
from replicad.store.manifest.file import load
from replicad.store.open.steps import (
    find_log,
    forget_families_gone,
    note_passed_over,
    options_for_opening,
    replay_into,
    take_over,
)

ATTEMPTS_MAX = 50
"""Each is a few milliseconds of opening: a writer that outruns this many changes its files all the time."""


def open_beside_writer(
    path: Path, options: Options, env: Env, role: Role, families: Mapping[str, FamilyOptions] | None
) -> Core:
    """The state of a moment during the call.

    Raises NotFoundError, CorruptionError or NewerFormatError, and CatchUpError when the writer removes files
    faster than they can be opened.
    """
    path = path.absolute()
    wal = wal_dir_of(path, options)
    attempts = 0
    while True:
        before = _traces(env.fs, path, wal)
        attempts += 1
        try:
            core = _read(path, options, env, role, families)
            # Log that was flushed and removed before it was found looks as if it had never been.
            if load(env.fs, path).flushed.sequence <= core.written.sequence:
                return core
            error: Exception | None = None
        except (CorruptionError, FileNotFoundError) as found:
            if _traces(env.fs, path, wal) == before:
                raise
            error = found
        if attempts == ATTEMPTS_MAX:
            raise CatchUpError(
                f"{path}: its writer removed files before they could be opened, {attempts} times; try again"
            ) from error


def _read(
    path: Path, options: Options, env: Env, role: Role, families: Mapping[str, FamilyOptions] | None
) -> Core:
    fs = env.fs
    options, recorded = options_for_opening(fs, path, options, families)
    state = load(fs, path)
    check_log_is_here(fs, path, options, state)

    wal = wal_dir_of(path, options)
    segments, passed_over = find_log(fs, wal, path / "archive", state, env.clock.monotonic())
    core = Core(env, path, options, role, state)
    note_passed_over(core, passed_over)

    # Nothing is cut, flushed or removed: the writer, if there is one, may be in the middle of the very frame
    # that looks like a torn tail.
    recovered = replay_into(
        core, segments, passed_over, lambda position, commit_time_us: None, flushed_log_is_archived=False
    )
    take_over(core, recovered, segments, "passed over")
    if recorded:
        forget_families_gone(core)
    return core


def _traces(fs: FileSystem, path: Path, wal: Path) -> list[object]:
    """Something else after every change that a writer makes to its files."""
    try:
        current: bytes | None = fs.read_file(path / "CURRENT")
    except FileNotFoundError:
        current = None
    growing = [path / name for name in fs.list(path) if name.startswith("MANIFEST-")]
    growing += [wal / name for name in fs.list(wal)]
    traces: list[object] = [current, fs.list(path), fs.list(path / "archive")]
    for file in growing:
        try:
            traces.append((file, fs.size(file)))
        except FileNotFoundError:
            traces.append((file, None))
    return traces
