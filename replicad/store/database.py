"""The public face of the store."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NoReturn

from replicad import kernels
from replicad.env import Env
from replicad.errors import DiskFullError, InvalidArgument, PoisonedError, ReadOnlyError
from replicad.options import FamilyOptions, Options
from replicad.store.commit_clock import ClockState
from replicad.store.copies.checkpoint import Checkpoint, write_checkpoint
from replicad.store.copies.cut import Cut
from replicad.store.copies.live_files import LiveFiles, live_files
from replicad.store.copies.saved_log import SavedLog, save_log
from replicad.store.core import Core, Role
from replicad.store.holds.log_holds import LogHolds
from replicad.store.log_access import LogAccess
from replicad.store.marks import Mark, Marks, encode_mark
from replicad.store.open.alive import opened
from replicad.store.open.closing import close_reading, close_writing
from replicad.store.open.opening import open_for_writing
from replicad.store.open.presence import what_is_gone
from replicad.store.open.read_only import open_beside_writer
from replicad.store.open.starting import start_writing
from replicad.store.reading import Newest, Pair, Snapshot, families_at, scan, view_if_there, view_of
from replicad.store.roles import demote, promote
from replicad.store.writable_core import Timings
from replicad.store.write.commit import Commit
from replicad.store.write.conditions import Condition
from replicad.store.write.write_path import WritePath
from replicad.types import DEFAULT_FAMILY, EpochRecord, FamilyId, Position, Sequence


def open_database(
    path: str | Path,
    options: Options | None = None,
    *,
    env: Env | None = None,
    role: Role = "owner",
    read_only: bool = False,
    retention: LogHolds | None = None,
    families: Mapping[str, FamilyOptions] | None = None,
) -> Database:
    """Opens, or makes, the database in `path`.

    As "owner" it takes writes, and a directory that is a copy becomes a database of its own first. As
    "replica" it keeps its identity and takes the frames of another node only. With `read_only` nothing in the
    directory is changed and no lock is taken; another process may be writing it. What is seen is the state of
    the opening, until `refresh`.

    `retention` says which log the node's replicas still need; `families`, by name, which column families have
    tables other than `options` says. Without it those of `options` hold, else those of the last opening.

    Raises NotFoundError, LockedError, CorruptionError, NewerFormatError, DiskFullError, or ConfigError when
    the log was left in another `wal_dir`.
    """
    options, env = options or Options(), env or Env()
    if not os.fspath(path):
        raise InvalidArgument("the path of the database is empty: give '.' for the current directory")
    directory = Path(path)
    if read_only:
        return Database(open_beside_writer(directory, options, env, role, families))

    def open_and_start() -> Database:
        core = open_for_writing(directory, options, env, role=role, holds=retention, families=families)
        return Database(core, start_writing(core))

    return env.runner.apart(open_and_start)


def open(
    path: str | Path,
    options: Options | None = None,
    *,
    read_only: bool = False,
    families: Mapping[str, FamilyOptions] | None = None,
) -> Database:
    """Opens the database in `path`, and makes it if it is not there; see `open_database` for the errors."""
    return open_database(path, options, read_only=read_only, families=families)


class Database(LogAccess):
    """An ordered map from bytes to bytes, with its log. Any thread may call anything.

    Made by `replicad.open`; a context manager. Writes return the last sequence number of their batch.
    """

    def __init__(self, core: Core, writes: WritePath | None = None) -> None:
        """`writes` is None of a database that was opened for reading only."""
        super().__init__(core)
        self.newest = Newest(core)
        """Reads what is appended, durable or not: for the conditions of a writer."""
        self._apart = core.env.runner.apart
        self._writes = writes
        self._marks = Marks(core.leases) if writes is None else writes.core.marks
        close = partial(close_reading, core) if writes is None else partial(close_writing, writes)
        self._entry = opened(core, close)

    # Reading

    def get(self, key: bytes, *, snapshot: Snapshot | None = None, family: int = 0) -> bytes | None:
        """The value, or None when there is no such key."""
        if snapshot is not None:
            return self._own(snapshot).get(key, family=family)
        view = view_of(self._core, family)
        return view.get(key, self._progress.visible)

    def multi_get(
        self, keys: list[bytes], *, snapshot: Snapshot | None = None, family: int = 0
    ) -> list[bytes | None]:
        """One value or None for each key, all at one sequence number."""
        if snapshot is not None:
            return self._own(snapshot).multi_get(keys, family=family)
        view = view_of(self._core, family)
        return view.multi_get(keys, self._progress.visible)

    def contains(self, key: bytes, *, family: int = 0) -> bool:
        view = view_of(self._core, family)
        return view.contains(key, self._progress.visible)

    def part(self, key: bytes, first: int, last: int, *, family: int = 0) -> tuple[int, bytes]:
        """(length of the value, its bytes from `first` through `last`); (0, b"") when there is none.

        A negative place counts from the end, as in Redis's GETRANGE. Only the part is copied.
        """
        return view_of(self._core, family).part(key, first, last, self._progress.visible)

    def sequence_of(self, key: bytes, *, family: int = 0) -> int | None:
        """The sequence number that the key's visible version was written at, or None when there is none.

        >>> read_at = db.sequence_of(b"config")                                 # doctest: +SKIP
        >>> db.write(batch, conditions=[(b"config", replicad.AtSequence(read_at))])  # doctest: +SKIP
        """
        return view_of(self._core, family).sequence_of(key, self._progress.visible) or None

    def scan(
        self,
        start: bytes | None = None,
        end: bytes | None = None,
        *,
        prefix: bytes | None = None,
        reverse: bool = False,
        limit: int | None = None,
        snapshot: Snapshot | None = None,
        family: int = 0,
    ) -> Iterator[Pair]:
        """Pairs with start <= key < end (and the prefix) in key order, or in the reverse of it.

        All at one sequence number, that of the call, however long the iteration takes.
        """
        if snapshot is not None:
            own = self._own(snapshot)
            return own.scan(start, end, prefix=prefix, reverse=reverse, limit=limit, family=family)
        view = view_of(self._core, family)
        return scan(view, self._progress.visible, start, end, prefix, reverse, limit)

    def snapshot(self) -> Snapshot:
        """The current visible state; close it, or use it as a context manager."""
        view_of(self._core, DEFAULT_FAMILY)
        return Snapshot(self._core, keeps=self)

    def digest(self, snapshot: Snapshot | None = None) -> tuple[Sequence, str]:
        """(sequence number, hex digest) of all families' pairs, of a snapshot taken now by default."""
        if snapshot is not None:
            return snapshot.sequence, self._own(snapshot).digest()
        with self.snapshot() as now:
            return now.sequence, now.digest()

    def _own(self, snapshot: Snapshot) -> Snapshot:
        if not snapshot.is_of(self.path):
            raise InvalidArgument(f"the snapshot is of another database than {self.path}")
        return snapshot

    def refresh(self) -> bool:
        """Of a database opened for reading while another process writes: goes on to the current state.

        Returns whether anything changed.

        Snapshots and iterators taken before keep what they show. What one writes oneself needs no refresh.

        >>> db = replicad.open("/var/lib/example", read_only=True)              # doctest: +SKIP
        >>> while db.get(b"ready") is None and not db.refresh(): wait()         # doctest: +SKIP
        """
        self._progress.raise_if_ended()
        core = self._core
        if self._writes is not None:
            return False
        fresh = open_beside_writer(core.path, core.options, core.env, core.role, core.family_options)
        if fresh.written == core.written and fresh.state.tables == core.state.tables:
            return False
        # One step: another thread, or an exception, must not find half of one state and half of another.
        entry, marks = opened(fresh, partial(close_reading, fresh)), Marks(fresh.leases)
        vars(self).update(
            _core=fresh, _progress=fresh.progress, newest=Newest(fresh), _marks=marks, _entry=entry
        )
        return True

    # Writing

    def put(self, key: bytes, value: bytes, *, family: int = 0) -> int:
        """Raises InvalidArgument for limits, DiskFullError, PoisonedError, ReadOnlyError."""
        return (self._writes or self._writer()).put(key, value, family)

    def delete(self, key: bytes, *, family: int = 0) -> int:
        """Takes a sequence number whether the key was there or not."""
        return self._writer().delete(key, family)

    def write(self, batch: kernels.Batch, conditions: Iterable[Condition] = ()) -> int:
        """Atomic; returns when the batch is visible.

        With `conditions` the batch is written only if each key still is what is expected: a value, a version,
        or None for an absent one. Raises ConditionFailed, and writes nothing, when one is not.

        >>> batch.put(b"balance", b"60")                                        # doctest: +SKIP
        >>> db.write(batch, conditions=[(b"balance", b"100"), (b"closed", None)])  # doctest: +SKIP
        """
        return self._writer().write(batch, conditions)

    def submit(self, batch: kernels.Batch, conditions: Iterable[Condition] = ()) -> Commit:
        """Appends the batch and returns without waiting for anything; see Commit, and `write`.

        Callers look at `stalled` themselves, and stop submitting while it says why. What ConditionFailed
        says was found may not be visible yet: a caller that shows it waits until its `sequence` is.
        """
        return self._writer().submit(batch, conditions)

    def submit_put(self, key: bytes, value: bytes, *, family: int = 0) -> int:
        """`submit` of a single put; its sequence number, to be compared with `latest_sequence`."""
        return self._writer().put(key, value, family, wait=False)

    def submit_many(self, items: Iterable[kernels.Batch | tuple[bytes, bytes]]) -> int:
        """`submit` of many batches and single puts with one write: all of them or, when it raises, none.

        Each keeps its own frame and numbers. Returns the last sequence number of all.
        """
        return self._writer().submit_many(items)

    def submit_group(self, group: kernels.WriteGroup) -> int:
        """`submit_many` of a server's clients' batches; the last sequence number. The caller settles it."""
        return self._writer().submit_group(group)

    def sync_for_loop(self) -> None:
        """Called on the thread of an event loop which submits most writes: under "sync" their syncs begin and
        end there, without a turn of another Python thread.

        That thread must not block for a commit that it submitted: `put` and `write` may, `Commit.wait` not.
        """
        self._writer().syncer.use_loop(asyncio.get_running_loop())

    def hurry_sync(self) -> None:
        """Somebody waits for what is written to be durable here: the next sync begins at once."""
        self._writer().syncer.hurry()

    @property
    def timings(self) -> Timings:
        """How long syncs of the log and pieces of foreign frames took."""
        return self._writer().core.timings

    def apply_frames(self, frames: bytes) -> Position:
        """Replicas: appends and applies whole frames of one epoch; the position after them.

        Raises GapError, DivergedError or CorruptionError before anything is changed.
        """
        return self._writer().foreign.apply(frames)

    # Roles

    def promote(self, epoch_id: bytes, *, at_least: int = 0) -> EpochRecord:
        """Replicas: from the return of this on it takes writes, in a new epoch of the same database.

        `epoch_id` is 16 random bytes. The epoch's number is one more than the last, or `at_least`, where a
        higher one was heard of. What is durable is kept, and its end is where the epoch forks; a crash leaves
        a replica, or an owner in the new epoch. Raises InvalidArgument for an owner, and for an id or epoch
        that cannot be, DiskFullError (nothing has changed then either) and PoisonedError.
        """
        writes = self._writer()
        return self._apart(lambda: promote(writes, epoch_id, at_least))

    def demote(self) -> Position:
        """Owners: takes no write any more, but the frames of another node; the last position, durable.

        Raises DiskFullError when that could not be recorded: writes are refused all the same, until the
        database is opened again. A second call changes nothing.
        """
        writes = self._writer()
        return self._apart(lambda: demote(writes))

    def save_log(self, after: Position, directory: Path) -> SavedLog:
        """Writes the durable log after `after` to segment files in `directory`, synced, and counts it.

        Raises LogGoneError when the log no longer holds all of it, and DivergedError when it never went
        through `after`.
        """
        self._open_for_copies()
        return self._apart(lambda: save_log(self._core, after, directory))

    # Column families

    @property
    def families(self) -> dict[str, int]:
        """Id by name; "default" is 0. Those of the newest write, visible or not."""
        return families_at(self._core.version, self._progress.appended)

    def create_family(self, name: str, options: FamilyOptions | None = None) -> FamilyId:
        """A new, empty column family, and its id, which is never used again; visible when this returns.

        A name has 1 to 255 bytes in UTF-8. `options` are of this node, which keeps them in its options file.
        Raises InvalidArgument for a name that is taken, and what `put` raises.

        >>> orders = db.create_family("orders")                     # doctest: +SKIP
        >>> db.put(b"17", b"two of the blue ones", family=orders)   # doctest: +SKIP
        """
        writes = self._writer()
        if options is not None and name not in self.families:
            self._apart(lambda: writes.core.keep_family_options(name, options))
        return writes.control.create_family(name)

    def drop_family(self, family: int) -> int:
        """Ends a column family; returns the sequence number of that. Snapshots from before still read it.

        Its files go when the drop is in the manifest. Raises NotFoundError, and InvalidArgument for the
        default family.
        """
        writes, options = self._writer(), self._core.family_options
        sequence = writes.control.drop_family(FamilyId(family))
        if self._core.family_options is not options:
            self._apart(writes.core.write_options)
        return sequence

    def reads(self) -> kernels.ReadSource:
        """For a kernel that reads by itself, on the thread of its caller."""
        return kernels.ReadSource(self._core, self._progress, partial(view_if_there, self._core))

    def submit_create_family(self, name: str) -> tuple[FamilyId, int]:
        """`create_family` that waits for nothing: (id, number to compare with `latest_sequence`)."""
        return self._writer().control.submit_create_family(name)

    def submit_drop_family(self, family: int) -> int:
        """`drop_family` that waits for nothing; its sequence number."""
        writes, options = self._writer(), self._core.family_options
        sequence = writes.control.submit_drop_family(FamilyId(family))
        if self._core.family_options is not options:
            self._apart(writes.core.write_options)
        return sequence

    # Verification

    @property
    def marks(self) -> Marks:
        """The marks that were applied here lately, each with its snapshot; see `submit_mark`."""
        return self._marks

    def submit_mark(self, mark: Mark) -> int:
        """Writes a mark, and holds a snapshot of just this moment for it, as every replica will.

        Waits for nothing; the sequence number is to be compared with `latest_sequence`. Raises what `put`
        raises.

        >>> mark = Mark(MarkId(os.urandom(16)), seconds=600)                    # doctest: +SKIP
        >>> db.submit_mark(mark)                                                # doctest: +SKIP
        60004
        >>> split(db.marks.snapshot(mark.id), DEFAULT_FAMILY)                   # doctest: +SKIP
        """
        return self._writer().control.submit_mark(encode_mark(mark))

    def hold_snapshot(self, mark: Mark) -> Sequence:
        """Holds the current visible state as if a mark had been applied: for a node that takes no writes."""
        snapshot = self.snapshot()
        self._apart(lambda: self._marks.hold(mark, snapshot))
        return snapshot.sequence

    def flush(self) -> None:
        """Returns when everything written before the call is in tables.

        Raises DiskFullError when there is no room for them: it is tried again in the background.
        """
        writes = self._writer()
        core = writes.core

        def seal() -> tuple[int, int]:
            with core.write_lock:
                self._progress.raise_if_ended()
                refused = core.found_no_room["flush"]
                target = core.log.written.sequence
                version = core.version
                newest_sealed = version.sealed[0].position if version.sealed else version.flushed
                if target > newest_sealed.sequence:
                    writes.applier.seal()
                return refused, target

        refused, target = self._apart(seal)
        self._progress.wait(
            lambda: core.version.flushed.sequence >= target or core.found_no_room["flush"] > refused
        )
        if core.version.flushed.sequence < target:
            raise DiskFullError(f"{core.path}: not flushed: {core.no_room.get('flush', 'the disk was full')}")

    def compact(self) -> None:
        """Flushes, then merges everything into one level; returns when that is done. Raises DiskFullError.

        Of what was in that level already only tables from which something can go are written again: those
        with deletions, and those with versions for a snapshot that is closed by now. While an older snapshot
        is open they stay as they are.
        """
        self.flush()
        self._apart(self._writer().background.compact_everything)

    # Copies

    def cut(
        self,
        *,
        flush: bool = False,
        holder: str = "cut",
        seconds: float | None = None,
        bytes_max: int | None = None,
    ) -> Cut:
        """One exact, durable position with its files and a snapshot, held until closed.

        Its lease ends after `seconds`, or when it holds back more than `bytes_max` bytes of files and log
        that nobody else needs; the cut is closed then, its snapshot included. `stats()["leases"]` lists it
        under `holder`.

        >>> with db.cut(holder="nightly export", seconds=3600) as cut:          # doctest: +SKIP
        ...     export(cut.position, cut.snapshot.scan())
        """
        writes = self._open_for_copies()
        if flush:
            self.flush()

        def take() -> Cut:
            return Cut(
                writes.core, writes.syncer, holder=holder, seconds=seconds, bytes_max=bytes_max, keeps=self
            )

        return self._apart(take)

    def get_live_files(self, *, flush: bool = True) -> LiveFiles:
        """The files that make up the database now, with the manifest's length and the log that is needed.

        Holds nothing: without `disable_file_deletions` before, files may go while they are copied. A copy of
        them is this same database, with its id, and not marked as a copy: only a replica may go on with it.
        `create_checkpoint` makes copies that anybody may open.

        >>> db.disable_file_deletions()                                         # doctest: +SKIP
        >>> live = db.get_live_files()                                          # doctest: +SKIP
        >>> archive(live.files, live.log)                                       # doctest: +SKIP
        >>> db.enable_file_deletions()                                          # doctest: +SKIP
        """
        writes = self._open_for_copies()
        if flush:
            self.flush()
        return self._apart(lambda: live_files(writes.core, writes.syncer))

    def disable_file_deletions(self) -> None:
        """From the return of this on no file goes, and no log segment moves. Calls are counted.

        Space grows meanwhile; a close ends it. See `get_live_files` for an example.
        """
        writes = self._open_for_copies()
        self._apart(writes.core.deletions.disable)

    def enable_file_deletions(self, *, force: bool = False) -> bool:
        """Takes back one `disable_file_deletions`, or all with `force`; whether deletions are enabled now.

        What was held back is removed before it returns; the log is tidied soon after.
        """
        writes = self._open_for_copies()
        enabled = self._apart(lambda: writes.core.deletions.enable(force=force))
        if enabled:
            writes.background.request_retention()
        return enabled

    def review_retention(self) -> None:
        """A holder of log needs less of it now: what nobody needs any more goes, in the background."""
        self._open_for_copies().background.request_retention()

    def change_retention(self, options: Options) -> None:
        """Takes over how much archived log is kept and how much disk stays free, and nothing else of these
        options; what may go by them goes in the background."""
        core = self._core
        core.options = replace(
            core.options,
            disk_reserve_bytes=options.disk_reserve_bytes,
            log_retention_bytes=options.log_retention_bytes,
            log_retention_seconds=options.log_retention_seconds,
            log_disk_floor_bytes=options.log_disk_floor_bytes,
        )
        self.review_retention()

    def create_checkpoint(
        self,
        path: str | Path,
        *,
        flush: bool = False,
        copy: bool = False,
        families: Collection[int] | None = None,
    ) -> Checkpoint:
        """Makes `path` a database of its own at one exact position; says where it opens and what was linked.

        Files are hard links where the file system has them, and copies with `copy` or where it has not.
        `path` must not exist, nor be within the database. Without `flush` the copy brings the log that its
        tables lack. `families` limits it to these and the default one; then it is flushed, and at the
        position that its tables hold.

        >>> db.create_checkpoint("/backup/monday").position                     # doctest: +SKIP
        Position(epoch=1, sequence=60003, history_hash=13541213309823301987)
        """
        place = Path(path).resolve()
        for ours in (self.path, self.options.wal_dir):
            if ours is not None and place.is_relative_to(ours.resolve()):
                raise InvalidArgument(f"{path} is within the database; a checkpoint needs a path of its own")

        def make() -> Checkpoint:
            with self.cut(flush=flush or families is not None, holder=f"checkpoint {path}") as cut:
                return write_checkpoint(
                    self._core.env, cut, Path(path), with_log=families is None, copy=copy, families=families
                )

        return self._apart(make)

    def create_base_copy(self, path: str | Path) -> Position:
        """A checkpoint of the tables alone, just flushed; returns the position that they hold.

        What replication ships: the log goes on from there.
        """

        def make() -> Position:
            with self.cut(flush=True, holder=f"base copy {path}") as cut:
                return write_checkpoint(self._core.env, cut, Path(path), with_log=False).position

        return self._apart(make)

    @property
    def log_start(self) -> Position | None:
        """The position before the oldest batch of the log; None while there is no log."""
        segments = self._core.catalog.segments()
        return segments[0].header.previous if segments else None

    @property
    def clock_state(self) -> ClockState:
        """Whether the wall clock is fit to stamp commits with."""
        return self._core.commit_clock.state(self._core.commit_time_us)

    def what_is_gone(self) -> str | None:
        """Which of its files is not where it belongs, or None: its directory may be another one by now. A few
        calls of the file system; what is written meanwhile is not looked for."""
        return what_is_gone(self._core)

    def poison(self, reason: str) -> None:
        """Stops the store for a reason from outside: nothing becomes visible, durable or acknowledged any
        more."""
        self._progress.fail(PoisonedError(reason))

    def close(self) -> None:
        """Syncs the log and ends. What is in memtables is read back from the log at the next opening."""
        self._apart(self._entry.close)

    def _open_for_copies(self) -> WritePath:
        writes = self._writer()
        self._progress.raise_if_ended()
        return writes

    def _writer(self) -> WritePath:
        if self._progress.forked:
            self._progress.raise_if_ended()
        if self._writes is None:
            raise ReadOnlyError(f"{self._core.path} was opened for reading only")
        return self._writes

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *exc: object) -> None:
        if not self._progress.forked:  # A child that leaves the block leaves the database to its parent.
            self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a database can be neither copied nor pickled: open it where it is needed")

    def __del__(self) -> None:
        """Closes what nobody closed, and says so. Snapshots, cuts and iterators keep their database."""
        if not hasattr(self, "_entry") or self._progress.closed:
            return
        said = f"the database {self.path} was dropped without close(), and is closed now"
        warnings.warn(said, ResourceWarning, stacklevel=2, source=self)
        self._core.env.runner.dropped(self._entry.close)
