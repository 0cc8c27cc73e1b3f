"""Opening a directory for writing: lock, manifest, tables, log; and making a database where there is none.

The story of an opening, whose order is what keeps a crash at any moment harmless:

1. `open_for_writing` takes the locks, so that nobody else changes the directory, refuses formats of a later
   release before it changes anything, and loads the manifest.
2. `_recover` writes the manifest anew and makes it durable before it removes anything that the old one does
   not name.
3. It syncs the log that it is about to read: what was readable before a crash need not be durable.
4. It opens the tables, replays the log into memtables, and flushes those as they fill.
5. `_settle` cuts a torn tail, removes empty segments, and records in the manifest how far the log goes.
6. A copy that is opened for writing becomes a database of its own; the options are kept for the next opening.

What opening finds it either proves to be whole, or cuts back and says so in `Core.notes`, or refuses. All
of it runs on the caller's thread; no other thread knows the database yet. An opening that fails gives the
locks back, and what it did to the files is what the next opening would do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from replicad.env import DirectoryLock, Env, FileSystem, is_no_room, naming_full_disk
from replicad.errors import CorruptionError, DiskFullError, NotFoundError
from replicad.options import FamilyOptions, Options
from replicad.store.background.lanes import flush_oldest, seal_active
from replicad.store.copies.checkpoint import remove_log, unused_number
from replicad.store.core import Role
from replicad.store.directory.formats import check_formats
from replicad.store.directory.log_place import (
    check_log_is_here,
    check_log_is_ours,
    own_log_directory,
    wal_dir_of,
)
from replicad.store.directory.options_file import keep_options
from replicad.store.holds.deletions import Deletions
from replicad.store.holds.log_holds import LogHolds
from replicad.store.manifest.edit import Edit, Parent
from replicad.store.manifest.file import ManifestWriter, load, manifest_name, remove_stale_manifests
from replicad.store.manifest.state import FIRST_FILE, ManifestState
from replicad.store.open.steps import (
    find_log,
    forget_families_gone,
    note_passed_over,
    options_for_opening,
    replay_into,
    take_over,
)
from replicad.store.table.meta import is_table_name
from replicad.store.wal.doubt import sync_log
from replicad.store.wal.recovery import Recovered, cut_torn_tail, log_after
from replicad.store.wal.segment import Segment, first_sequence_of, is_segment_name
from replicad.store.wal.writer import LogWriter
from replicad.store.writable_core import WritableCore
from replicad.types import ORIGIN, DatabaseId, EpochRecord, Position

REPLAYED_SEGMENTS_MAX = 16
"""An opening that had to read more flushes them, so that the next one need not."""
_OWN_NAMES = ("MANIFEST-", "OPTIONS-")
_STAGED = re.compile(r"(CURRENT|OPTIONS-\d{6,}\.toml)\.tmp")


def open_for_writing(
    path: Path,
    options: Options,
    env: Env,
    *,
    role: Role,
    holds: LogHolds | None,
    families: Mapping[str, FamilyOptions] | None,
) -> WritableCore:
    """Raises NotFoundError, LockedError, CorruptionError, NewerFormatError, DiskFullError, ConfigError."""
    path = path.absolute()
    fs = env.fs
    check_formats(fs, path, options)
    options, recorded = options_for_opening(fs, path, options, families)

    with naming_full_disk(f"{path}: no room to open the database"):
        if not fs.exists(path) and not options.create_if_missing:
            raise NotFoundError(f"{path} does not exist")
        fs.make_directories(path)
        lock = lock_directory(env, path, options)
        try:
            # Recovery removes log of another history. In the log directory of another database that would be
            # the log which that one still needs.
            wal = wal_dir_of(path, options)
            check_log_is_ours(fs, path, wal)
            own_log_directory(fs, path, wal)

            if not fs.exists(path / "CURRENT"):
                _create(env, path, options)

            state = load(fs, path)
            check_log_is_here(fs, path, options, state)
            core = _recover(env, path, options, state, role, lock, holds)

            if recorded:
                forget_families_gone(core)
                options = core.options

            # Two databases of one id that are both written would be two histories under one name.
            if core.state.copy and role == "owner":
                _become_own_database(core)
            _keep_options(core, options)
            return core
        except BaseException:
            lock.release()
            raise


def _keep_options(core: WritableCore, options: Options) -> None:
    """Writes the options down for the next opening. A full disk must not keep a database from being read."""
    try:
        core.unknown_options = keep_options(
            core.env.fs, core.path, options, core.notes, core.deletions.remove
        )
    except OSError as error:
        if not is_no_room(error):
            raise
        core.notes.append(f"{core.path}: no room for the options file: the old one stays")


class _Locks:
    """Several locks as one: taken one after another, released together."""

    def __init__(self) -> None:
        self._held: list[DirectoryLock] = []

    def take(self, lock: DirectoryLock) -> None:
        self._held.append(lock)

    def release(self) -> None:
        for lock in self._held:
            lock.release()

    def is_in_place(self) -> bool:
        return all(lock.is_in_place() for lock in self._held)


def lock_directory(env: Env, path: Path, options: Options) -> DirectoryLock:
    """Locks the directory, and the log directory if it lies elsewhere: a copy that is opened with its
    original's log directory would ruin that log. Raises LockedError."""
    locks = _Locks()
    locks.take(env.fs.lock(path / "LOCK"))
    wal = wal_dir_of(path, options)
    if wal != path / "wal":
        try:
            env.fs.make_directories(wal)
            locks.take(env.fs.lock(wal / "LOCK"))
        except BaseException:
            locks.release()
            raise
    return locks


def _create(env: Env, path: Path, options: Options) -> None:
    """Makes an empty database, where the options allow it and no other has been."""
    # A lost CURRENT must not turn a database into an empty one: its tables would be removed as leftovers.
    ours = [name for name in env.fs.list(path) if name.startswith(_OWN_NAMES) or name.endswith(".sst")]
    ours += [name for name in env.fs.list(wal_dir_of(path, options)) if is_segment_name(name)]
    if ours and ours != [manifest_name(FIRST_FILE)]:  # That one alone: a creation that was cut short.
        raise CorruptionError(
            f"CURRENT is missing, but there are files of a database ({ours[0]})",
            path=path / "CURRENT",
            offset=0,
        )
    if not options.create_if_missing:
        raise NotFoundError(f"{path} holds no database (there is no CURRENT file)")

    state = ManifestState(
        database_id=DatabaseId(env.random.bytes(16)),
        epochs=(EpochRecord(ORIGIN.epoch, env.random.bytes(16), ORIGIN),),
    )
    ManifestWriter(env.fs, path, state).abandon()


def _recover(
    env: Env,
    path: Path,
    options: Options,
    state: ManifestState,
    role: Role,
    lock: DirectoryLock,
    holds: LogHolds | None,
) -> WritableCore:
    """The database that the manifest describes, its log replayed."""
    fs = env.fs
    wal = wal_dir_of(path, options)
    fs.make_directories(wal)

    # The last edit of the old manifest may be in the page cache only. If a table that this edit dropped were
    # removed now, a crash could bring back a manifest that names it. So the new one is durable before
    # anything goes; without room for it, nothing goes.
    deletions = Deletions(fs)
    manifest = ManifestWriter(fs, path, state, remove=deletions.remove, without_room=True)
    state = manifest.state
    if manifest.has_file:
        remove_stale_manifests(fs, path)
        remove_leftovers(fs, path, wal, state)
        remove_stale_log(fs, (wal, path / "archive"), state)

    # After a crash of the process, the log may be readable and not durable. What is replayed becomes visible,
    # and may be acknowledged and shipped, so it is synced first.
    segments, passed_over = find_log(fs, wal, path / "archive", state, env.clock.monotonic())
    needed = log_after(segments, state.flushed, flushed_log_is_archived=True)
    sync_log(fs, [segment.path for segment in needed], wal)

    # The state of the tables alone, to which the log is added below.
    core = WritableCore(
        env, path, options, role, lock=lock, manifest=manifest, deletions=deletions, holds=holds
    )
    note_passed_over(core, passed_over)

    if not manifest.has_file:
        # Nothing was removed, so that tables which the manifest does not name are still there. Their numbers
        # must not be given again: a new table would be written over one of them.
        core.numbers.at_least(unused_number(fs, path))
        core.note_room("manifest", f"{path}: the disk is full: no room for a manifest")
        core.notes.append(f"{path}: the disk is full: writes are refused until there is room, reads work")

    def flush_when_full(position: Position, commit_time_us: int) -> None:
        # A flush takes the position from the log's writer, so that it has to stand after these frames.
        core.log.restart(position, commit_time_us)
        # Memory stays bounded, however long the log is.
        if core.memtables.memory_bytes >= core.options.memtable_bytes:
            _flush_if_there_is_room(core)

    recovered = replay_into(core, segments, passed_over, flush_when_full, flushed_log_is_archived=True)
    _settle(core, recovered, segments)

    if len(needed) > REPLAYED_SEGMENTS_MAX and not core.state.copy:
        # Many short sessions, none of which wrote enough for a flush: each opening would read all their
        # segments.
        _flush_if_there_is_room(core)
    return core


def flush_recovered(core: WritableCore) -> None:
    """Flushes what recovery has put into memtables; the log it came from is durable."""
    seal_active(core)
    flush_oldest(core, lambda: False)


def _flush_if_there_is_room(core: WritableCore) -> None:
    """Flushes what was recovered. Without room it stays in memory, sealed, and the background flushes it
    later."""
    try:
        with naming_full_disk(f"{core.path}: no room to flush what the log holds"):
            flush_recovered(core)
    except DiskFullError as error:
        core.note_room("flush", str(error))


def _settle(core: WritableCore, recovered: Recovered, segments: list[Segment]) -> None:
    """Makes the end of the log that was found the end of the log that is there, and records it."""
    # A torn tail is cut before anything is appended: new frames behind it would be lost with it.
    if recovered.torn is not None:
        cut_torn_tail(core.env.fs, recovered.torn, core.catalog.live)

    # An empty segment has the name that the next one gets.
    for segment in take_over(core, recovered, segments, "cut"):
        core.env.fs.unlink(segment.path)
    position = recovered.position
    core.log.restart(position, core.recovered_time_us)

    _note_future(core)
    # An epoch whose first frame was lost has not begun here, unless this node is the one to begin it.
    epochs = tuple(record for record in core.state.epochs if record.epoch <= position.epoch)
    if core.role == "owner" and not core.state.copy:
        epochs = core.state.epochs
    copy = True if core.role == "replica" else None
    replaced = False if core.state.log_replaced else None
    next_file = core.numbers.next

    edit = Edit(synced=position, next_file=next_file, epochs=epochs, copy=copy, log_replaced=replaced)
    if core.manifest.has_file or _changes_what_opening_does(core.state, edit):
        core.record(edit)

    # The log says that families were dropped. A flush records it, and their tables go.
    if core.version.dropped:
        _flush_if_there_is_room(core)


def _changes_what_opening_does(state: ManifestState, edit: Edit) -> bool:
    """An edit that the next opening must find, however full the disk is now."""
    changed = state.apply(edit)
    return (changed.epochs, changed.copy, changed.log_replaced) != (
        state.epochs,
        state.copy,
        state.log_replaced,
    )


def _note_future(core: WritableCore) -> None:
    """Says so when the last commit time is far ahead of this machine's clock."""
    behind = core.commit_clock.state(core.log.frames.commit_time_us).behind_seconds
    if core.role == "owner" and behind > core.options.clock_jump_seconds_max:
        core.notes.append(
            f"the last batch was committed {behind:.0f} seconds in the future: the clock of this machine is "
            f"behind, or was ahead when that was written; all batches until then get that same time"
        )


def remove_leftovers(fs: FileSystem, path: Path, wal: Path, state: ManifestState) -> None:
    """Removes what a crash left half made, and tables that the manifest does not know yet, or any more.

    Names that the store does not give are somebody else's, and stay.
    """
    known = {meta.name for meta in state.tables}
    for name in fs.list(path):
        if (is_table_name(name) and name not in known) or _STAGED.fullmatch(name):
            fs.unlink(path / name)
    for directory in (wal, path / "archive"):
        for name in fs.list(directory):
            if name.endswith(".tmp") and is_segment_name(name.removesuffix(".tmp")):
                fs.unlink(directory / name)


def remove_stale_log(fs: FileSystem, directories: tuple[Path, ...], state: ManifestState) -> None:
    """Removes segments of a history before this one: all, where a copy has replaced the data, or those that
    begin before it does."""
    for directory in directories:
        if state.log_replaced:
            remove_log(fs, directory)
        elif state.log_start != ORIGIN:
            for name in fs.list(directory):
                if is_segment_name(name) and first_sequence_of(name) <= state.log_start.sequence:
                    fs.unlink(directory / name)


def _become_own_database(core: WritableCore) -> None:
    """A copy that is opened for writing: flushes its log and takes an id of its own."""
    # The log carries the old id in its checksums and cannot go on under the new one. What only the log holds
    # goes into tables first, and so do families that only the log knows.
    version = core.version
    if any(family.active.entries for family in version.live()) or version.recorded != version.family_list:
        flush_recovered(core)

    # One manifest makes the change: until it is durable this is the old copy with its log, from then on a
    # database that begins at `position` and has no log yet. `log_start` lets an opening after a crash remove
    # the old segments.
    position = core.log.written
    core.manifest.abandon()
    database_id = DatabaseId(core.env.random.bytes(16))
    state = replace(
        core.state,
        database_id=database_id,
        parent=Parent(database_id=core.database_id, fork=position),
        copy=False,
        flushed=position,
        synced=position,
        log_start=position,
        owned=position,
        commit_time_us=core.log.frames.commit_time_us,
        next_file=core.numbers.next,
    )
    core.manifest = ManifestWriter(core.env.fs, core.path, state, remove=core.deletions.remove)
    core.state = core.manifest.state
    core.database_id = database_id
    core.numbers.at_least(core.state.next_file)
    core.version = replace(core.version, flushed=position)

    # Only now, when no manifest that could be opened needs them.
    core.catalog.replace([])
    remove_stale_log(core.env.fs, (core.catalog.live, core.catalog.archive), core.state)
    remove_stale_manifests(core.env.fs, core.path)

    core.log = LogWriter(
        core.env,
        core.catalog,
        database_id,
        position,
        core.log.frames.commit_time_us,
        core.options.segment_bytes,
        core.write_lock,
    )
