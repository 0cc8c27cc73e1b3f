"""What can be done with the backups at a target without changing it: list, verify, open, restore."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from replicad.backup.archive.archiver import MARK_SECONDS
from replicad.backup.archive.check import LogCheck, archived_databases, check_log, has_base
from replicad.backup.archive.log import look_at_log
from replicad.backup.backup_list import BackupList, is_bad_medium, read_meta, read_shelf
from replicad.backup.catalog import summary
from replicad.backup.copying import Flow
from replicad.backup.databases import choose_database, find_database, latest
from replicad.backup.directory_target import DirectoryTarget
from replicad.backup.in_place import open_in_place
from replicad.backup.info import BackupInfo
from replicad.backup.meta import BackupMeta
from replicad.backup.names import BackupId
from replicad.backup.open_target import open_target
from replicad.backup.options import BackupEngineOptions
from replicad.backup.progress import Meter, ProgressCallback
from replicad.backup.restore.destination import Destination
from replicad.backup.restore.operation import Restoration, RestoreReport
from replicad.backup.restore.point import Point, point_at_sequence, point_at_time, reaches
from replicad.backup.stop import OperationStop
from replicad.backup.target import Target
from replicad.backup.verify import Verification, verify
from replicad.env import Env, ThreadRateLimiter, naming_full_disk
from replicad.errors import (
    ClosedError,
    CorruptionError,
    InvalidArgument,
    NewerFormatError,
    NotFoundError,
    NotKnownYet,
    StoreError,
)
from replicad.options import Options
from replicad.store.database import Database
from replicad.types import DatabaseId, EpochRecord, Sequence


class BackupEngineReadOnly:
    """Backups at `target`, which is only read: a directory, a URL that fsspec knows, or any `Target`.

    Any thread may call anything. A context manager.

    >>> with replicad.BackupEngineReadOnly("s3://backups/orders") as engine:    # doctest: +SKIP
    ...     engine.restore_latest_backup("/var/lib/restored")
    """

    def __init__(
        self,
        target: str | Path | Target,
        options: BackupEngineOptions | None = None,
        *,
        env: Env | None = None,
    ) -> None:
        """Raises ConfigError for a URL that nothing here can open."""
        self.options = options or BackupEngineOptions()
        self._env = env or Env()
        self.target = open_target(target, self._env, sync=self.options.sync)
        clock = self._env.clock
        self.read_limit = ThreadRateLimiter(clock, self.options.read_bytes_per_second)
        """Of what is read from a database, or from the target to verify or restore it."""
        self.write_limit = ThreadRateLimiter(clock, self.options.write_bytes_per_second)
        """Of what is written, to the target or to where a backup is restored."""
        self._running: set[OperationStop] = set()
        """Without a lock, which a thread that is interrupted could keep: each change is one call into C."""
        self._closed = False

    # What there is

    def get_backup_info(self) -> list[BackupInfo]:
        """All backups, oldest first. Those that cannot be read are in `get_corrupted_backups`.

        From an object store it takes two requests, and reports what was written there; at a directory every
        meta is read, so a damaged one is not listed.
        """
        self._raise_if_closed()
        listing = self._quickly()
        _raise_if_unsure(listing)
        return list(listing.infos)

    def get_latest_backup_info(self, database_id: bytes | str | None = None) -> BackupInfo | None:
        """The newest backup whose meta can be read, of any database, or of one: its id, or in hex the
        beginning of it. Raises NotFoundError when that database has no backup."""
        self._raise_if_closed()
        infos = self._quickly().infos
        if database_id is not None:
            chosen = find_database((info.database_id for info in infos), database_id)
            infos = tuple(info for info in infos if info.database_id == chosen)

        # A catalog lists a backup whose meta was damaged since, so the meta itself is read. One that a disk
        # does not give back is passed over like a damaged one; any other error is one of the way to the
        # target.
        for info in reversed(infos):
            try:
                read_meta(self.target, info.id)
                return info
            except (CorruptionError, NewerFormatError, NotFoundError):
                continue
            except OSError as error:
                if not is_bad_medium(error):
                    raise
        return None

    def get_corrupted_backups(self) -> dict[BackupId, StoreError]:
        """Ids of backups whose meta cannot be read, and why. Files are not looked at: see `verify_backup`."""
        self._raise_if_closed()
        return dict(self._surely().damaged)

    def _quickly(self) -> BackupList:
        """By the catalog where each meta is a request."""
        believe = not isinstance(self.target, DirectoryTarget)
        return read_shelf(self._env, self.target, self._workers, believe=believe)

    def _restorable(self) -> tuple[BackupInfo, ...]:
        """What a restore may begin with; raises NewerFormatError when a later release made all of it."""
        found = self._surely()
        later = [error for error in found.damaged.values() if isinstance(error, NewerFormatError)]
        if later and not found.infos:
            raise later[0]
        return found.infos

    def _surely(self) -> BackupList:
        """By the metas themselves, for whatever is decided."""
        return read_shelf(self._env, self.target, self._workers, believe=False)

    def _readable(self) -> tuple[BackupInfo, ...]:
        """`_surely`, for a removal: raises OSError where a failing disk makes that doubtful."""
        listing = self._surely()
        _raise_if_unsure(listing)
        return listing.infos

    def get_backup(self, id: int) -> BackupMeta:
        """Everything about one backup, its files included. Raises NotFoundError, CorruptionError."""
        self._raise_if_closed()
        return read_meta(self.target, BackupId(id))

    # Verifying

    def verify_backup(
        self, id: int, *, checksums: bool = False, progress: ProgressCallback | None = None
    ) -> Verification:
        """Whether every file is there with its size, and with `checksums` every byte. Raises NotFoundError.

        What is wrong is in the answer: see `ok`, `problems` and `raise_if_damaged`.
        """
        return self.verify_backups([id], checksums=checksums, progress=progress)

    def verify_backups(
        self,
        ids: Iterable[int] | None = None,
        *,
        checksums: bool = False,
        progress: ProgressCallback | None = None,
    ) -> Verification:
        """`verify_backup` of several, or of all; what they share is read once."""
        wanted = None if ids is None else [BackupId(id) for id in ids]
        with self._operation("the verification", progress) as flow:
            return verify(
                self._env, self.target, wanted, checksums=checksums, flow=flow, workers=self._workers
            )

    def verify_log(
        self, *, checksums: bool = False, progress: ProgressCallback | None = None
    ) -> list[LogCheck]:
        """Whether the archived log of each database goes on from its oldest backup without a gap.

        With `checksums` every object is read, and every checksum and link of the chain in it.
        """
        with self._operation("the verification", progress) as flow:
            infos = self._surely().infos
            checks = []

            for database_id in archived_databases(self.target):
                # The epochs that the newest backup lists show where the line of history runs.
                bases = [info for info in infos if info.database_id == database_id]
                epochs = self._epochs(bases)
                checks.append(
                    check_log(
                        self._env,
                        self.target,
                        database_id,
                        bases,
                        epochs,
                        checksums=checksums,
                        flow=flow,
                        workers=self._workers,
                    )
                )

            return checks

    def has_base(self, database_id: bytes) -> bool:
        """Whether there is a backup of that database which the newest of its archived log goes on from."""
        bases = [info for info in self._surely().infos if info.database_id == database_id]
        return bool(bases) and has_base(
            look_at_log(self.target, DatabaseId(database_id), self._epochs(bases)), bases
        )

    # Opening and restoring

    def open_backup(self, id: int, options: Options | None = None) -> Database:
        """The database of a backup, for reading, without restoring it; close it when done.

        Blocks are read from the target when they are needed, and cached as `options` says.

        >>> with engine.open_backup(7) as then, then.snapshot() as state:       # doctest: +SKIP
        ...     lost = state.get(b"order:7")
        """
        return open_in_place(self._env, self.target, self.get_backup(id), options)

    def restore_backup(
        self,
        id: int,
        path: str | Path,
        *,
        wal_dir: str | Path | None = None,
        attachments: str | Path | None = None,
        dry_run: bool = False,
        progress: ProgressCallback | None = None,
    ) -> RestoreReport:
        """Makes the backup the content of the directory `path`, which may be a database already, or new.

        Everything is fetched, verified and synced first; until the very end the old database is what opens.
        Tables that are there already are kept. `wal_dir` is where its log will be, by default where it was;
        `attachments` where those go, by default `path`/attachments; other files there stay. With `dry_run`
        nothing is changed, and the report says what would be.

        A directory with another database is refused, unless that one is a copy of this one.

        Identity stays: a replica that is started on it follows its primary from exactly there. Opened for
        writing otherwise, it becomes a database of its own.

        Raises LockedError when a process has it open, InvalidArgument when `path` holds something else,
        NotFoundError, CorruptionError, DiskFullError, StoppedError.
        """
        return self._restore(
            lambda destination: self._whole(self._info(id)), path, wal_dir, attachments, dry_run, progress
        )

    def restore_latest_backup(
        self,
        path: str | Path,
        *,
        database_id: bytes | str | None = None,
        wal_dir: str | Path | None = None,
        attachments: str | Path | None = None,
        dry_run: bool = False,
        progress: ProgressCallback | None = None,
    ) -> RestoreReport:
        """`restore_backup` of the newest one that can be read, of the database that is at `path`, or that it
        is a copy of, or that is named (its id, or the beginning of its hex); into a new directory, of the
        only one.

        Raises NotFoundError when there is none, and InvalidArgument where several could be meant.
        """

        def find(destination: Destination) -> Point:
            infos = self._restorable()
            there = (info.database_id for info in infos)
            chosen = choose_database(there, destination.present(), database_id)
            return self._whole(latest(infos)[chosen])

        return self._restore(find, path, wal_dir, attachments, dry_run, progress)

    def restore_to(
        self,
        path: str | Path,
        *,
        sequence: int | None = None,
        time_us: int | None = None,
        database_id: bytes | str | None = None,
        wal_dir: str | Path | None = None,
        attachments: str | Path | None = None,
        dry_run: bool = False,
        progress: ProgressCallback | None = None,
    ) -> RestoreReport:
        """Restores to exactly one moment: the newest backup before it, and the archived log from there.

        Either the last `sequence` number of a batch, or a time in microseconds since 1970: the state after
        the last batch committed until then. The database is the one that `restore_latest_backup` would take.
        Attachments are those of the backup. See `restore_backup` for the rest.

        Raises InvalidArgument for a number within a batch, and for a time after the end of the archived log;
        NotFoundError when no backup is old enough, or the log has a gap there (`verify` finds those).
        """
        if (sequence is None) == (time_us is None):
            raise InvalidArgument("name one moment: a sequence number or a time")

        def find(destination: Destination) -> Point:
            infos = self._restorable()
            there = (info.database_id for info in infos)
            chosen = choose_database(there, destination.present(), database_id)
            bases = [info for info in infos if info.database_id == chosen]
            log = look_at_log(self.target, chosen, self._epochs(bases))
            if sequence is not None:
                return point_at_sequence(log, bases, Sequence(sequence))
            assert time_us is not None
            return point_at_time(self.target, log, bases, time_us)

        def find_soon(destination: Destination) -> Point:
            """A time of just now: a node that archives, and is idle, will say in a moment that it was."""
            for _ in range(round(MARK_SECONDS) + 5):
                try:
                    return find(destination)
                except NotKnownYet as error:
                    now_us, soon_us = self._env.clock.wall_us(), 2 * MARK_SECONDS * 1_000_000
                    marked = error.marked_us is not None and now_us - error.marked_us <= soon_us
                    if time_us is None or not marked or not 0 <= now_us - time_us <= soon_us:
                        raise
                    OperationStop("the restore").pause(1.0)
            return find(destination)

        return self._restore(find_soon, path, wal_dir, attachments, dry_run, progress)

    # Its life

    def stop_backup(self) -> None:
        """Ends what this engine copies or verifies now, in whatever thread, with StoppedError there."""
        for stop in tuple(self._running):
            stop.request()

    def close(self) -> None:
        """Stops what runs; the engine cannot be used any more."""
        self._closed = True
        self.stop_backup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _restore(
        self,
        find: Callable[[Destination], Point],
        path: str | Path,
        wal_dir: str | Path | None,
        attachments: str | Path | None,
        dry_run: bool,
        progress: ProgressCallback | None,
    ) -> RestoreReport:
        destination = Destination(
            self._env,
            Path(path),
            None if wal_dir is None else Path(wal_dir),
            None if attachments is None else Path(attachments),
        )
        restoring = f"{destination.path}: no room to restore"
        with self._operation("the restore", progress) as flow, naming_full_disk(restoring):
            point = find(destination)
            while True:
                restoration = Restoration(
                    env=self._env,
                    target=self.target,
                    meta=self.get_backup(point.base.id),
                    destination=destination,
                    flow=flow,
                    workers=self._workers,
                    pieces=point.pieces,
                    log_end=point.log_end,
                    stood_still=point.stood_still,
                )
                try:
                    return restoration.plan() if dry_run else restoration.run()
                except NotFoundError:
                    # Small log objects may have become a large one meanwhile.
                    found, point = point, find(destination)
                    if found == point:
                        raise

    def _epochs(self, bases: list[BackupInfo]) -> tuple[EpochRecord, ...]:
        """What the backup of the newest epoch knows of the history."""
        newest = max(bases, key=lambda info: (info.position.epoch, info.id), default=None)
        return () if newest is None else self.get_backup(newest.id).epochs

    def _whole(self, base: BackupInfo) -> Point:
        """A backup without log after it, of which the report says how far it goes."""
        try:
            log = look_at_log(self.target, base.database_id, self.get_backup(base.id).epochs)
        except (CorruptionError, NewerFormatError):
            return Point(base, ())  # Damage to the log does not keep a backup from being restored.
        return Point(base, (), reaches(log, base))

    def _info(self, id: int) -> BackupInfo:
        return summary(self.get_backup(id), 0)

    @property
    def _workers(self) -> int:
        return self.options.max_background_operations

    @contextmanager
    def _operation(self, what: str, progress: ProgressCallback | None) -> Iterator[Flow]:
        """Something that copies: it can be stopped, is limited, and reports its progress."""
        stop = OperationStop(what)
        try:
            # Entered first: a close in another thread finds it here, or it finds the engine closed.
            self._running.add(stop)
            self._raise_if_closed()
            yield Flow(
                read_limit=self.read_limit,
                write_limit=self.write_limit,
                meter=Meter(self._env.clock, progress, self.options.progress_bytes),
                stop=stop,
                chunk_bytes=self.options.chunk_bytes,
            )
        finally:
            self._running.discard(stop)

    def _raise_if_closed(self) -> None:
        if self._closed:
            raise ClosedError("the backup engine is closed")


def _raise_if_unsure(listing: BackupList) -> None:
    """A meta that a disk did not give back may be whole: that is an error of the disk, and no damage."""
    for error in listing.damaged.values():
        if isinstance(error.__cause__, OSError):
            raise error.__cause__
