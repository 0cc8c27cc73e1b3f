"""The backup engine: everything that is done with the backups at one target."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from replicad.backup.attachments import CLOCK_STEP_SECONDS, Attachments
from replicad.backup.catalog import summary
from replicad.backup.collect import Collected, Collector
from replicad.backup.copying import Flow
from replicad.backup.create import Creation
from replicad.backup.info import BackupInfo
from replicad.backup.limits import RateLimiter
from replicad.backup.meta import BackupMeta
from replicad.backup.names import META, BackupId
from replicad.backup.options import BackupEngineOptions
from replicad.backup.progress import Meter, ProgressCallback
from replicad.backup.shelf import backup_ids, keep_catalog, read_meta, read_shelf
from replicad.backup.source import Source, open_source
from replicad.backup.stop import Stop
from replicad.backup.target import Target, open_target
from replicad.backup.verify import Verification, verify
from replicad.env import Env
from replicad.errors import ClosedError, InvalidArgument, NotFoundError, StoreError
from replicad.store.cut import Cut
from replicad.store.database import Database


class BackupEngine:
    """Backups at `target`: a directory, a URL that fsspec knows, or any `Target`. A context manager.

    Any thread may call anything, and any number of engines, on any machines, may use one target at once.

    >>> with replicad.BackupEngine("/srv/backups") as engine:               # doctest: +SKIP
    ...     engine.create_backup(db, flush_before_backup=True)
    ...     engine.purge_old_backups(7)
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
        self.read_limit = RateLimiter(clock, self.options.read_bytes_per_second)
        """Of what is read from a database, or from the target to verify or restore it."""
        self.write_limit = RateLimiter(clock, self.options.write_bytes_per_second)
        self._lock = threading.Lock()
        self._running: set[Stop] = set()
        self._closed = False
        if self.options.destroy_old_data:
            self._collect(lambda ids: ids)

    # Making

    def create_backup(
        self,
        source: Database | Cut | Source | str | Path,
        *,
        flush_before_backup: bool = False,
        metadata: bytes = b"",
        attachments: Attachments | None = None,
        progress: ProgressCallback | None = None,
    ) -> BackupInfo:
        """Backs up one exact state, copying only what the target does not have.

        `source` is an open database; a cut of one, which stays open; or the directory of a checkpoint.
        Without `flush_before_backup` the log that the tables lack is part of the backup. `attachments` is
        given the cut's snapshot and yields paths of files beside the database, which must not have changed
        since the cut, or `Attachment`s with their digests.

        Raises StoppedError, AttachmentError, CorruptionError (which says whether source or target is bad),
        ClosedError for a cut whose lease ended, DiskFullError; then there is no backup, and the next one uses
        what was copied.
        """
        with self._operation("the backup", progress) as flow:
            if attachments is not None and isinstance(source, Database):
                flow.stop.pause(CLOCK_STEP_SECONDS)  # What was written before the call is older than the cut.
            opened = open_source(self._env, source, flush=flush_before_backup)
            try:
                meta = Creation(
                    env=self._env,
                    target=self.target,
                    options=self.options,
                    flow=flow,
                    source=opened,
                    metadata=metadata,
                    attachments=attachments,
                ).run()
            finally:
                opened.close()
        infos = {info.id: info for info in self._refresh()}
        return infos.get(meta.id) or summary(meta, 0)

    def stop_backup(self) -> None:
        """Ends what this engine copies or verifies now, in whatever thread, with StoppedError there."""
        with self._lock:
            for stop in self._running:
                stop.request()

    # What there is

    def get_backup_info(self) -> list[BackupInfo]:
        """All backups, oldest first. Those that cannot be read are in `get_corrupted_backups`."""
        self._raise_if_closed()
        return list(read_shelf(self._env, self.target, self._workers).infos)

    def get_latest_backup_info(self) -> BackupInfo | None:
        infos = self.get_backup_info()
        return infos[-1] if infos else None

    def get_corrupted_backups(self) -> dict[BackupId, StoreError]:
        """Ids of backups whose meta cannot be read, and why. Files are not looked at: see `verify_backup`."""
        self._raise_if_closed()
        return dict(read_shelf(self._env, self.target, self._workers).damaged)

    def get_backup(self, id: int) -> BackupMeta:
        """Everything about one backup, its files included. Raises NotFoundError, CorruptionError."""
        self._raise_if_closed()
        return read_meta(self.target, BackupId(id))

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

    # Removing

    def delete_backup(self, id: int) -> Collected:
        """Deletes a backup and the files that no other needs. Raises NotFoundError."""

        def only(ids: list[BackupId]) -> list[BackupId]:
            if id not in ids:
                raise NotFoundError(f"{self.target.url} holds no backup {id}")
            return [BackupId(id)]

        return self._collect(only)

    def purge_old_backups(self, keep: int) -> Collected:
        """Deletes all but the newest `keep`. One that cannot be read is not counted, and goes when it is
        older than those that are kept."""
        if keep < 0:
            raise InvalidArgument(f"keep must be at least 0, not {keep}")
        good = [info.id for info in self.get_backup_info()]
        kept = good[-keep:] if keep else []
        if keep and len(good) <= keep:
            return self._collect(lambda ids: [])
        return self._collect(lambda ids: [id for id in ids if not kept or id < kept[0]])

    def garbage_collect(self, grace_seconds: float | None = None) -> Collected:
        """Removes files that no backup needs, and what backups left that died while they were made.

        One that is being made, here or elsewhere, is taken for dead when nothing was heard of it for
        `grace_seconds` (by default those of the options); 0 is for when there surely is none.
        """
        return self._collect(lambda ids: [], grace_seconds)

    def close(self) -> None:
        """Stops what runs; the engine cannot be used any more."""
        self.stop_backup()
        self._closed = True

    def __enter__(self) -> BackupEngine:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def _workers(self) -> int:
        return self.options.max_background_operations

    def _collect(
        self, choose: Callable[[list[BackupId]], list[BackupId]], grace_seconds: float | None = None
    ) -> Collected:
        self._raise_if_closed()
        grace = self.options.grace_seconds if grace_seconds is None else grace_seconds
        chosen = choose(backup_ids(self.target.list(META)))
        collector = Collector(self._env, self.target, grace_seconds=grace, workers=self._workers)
        collected = collector.run(chosen)
        self._refresh()
        return collected

    def _refresh(self) -> tuple[BackupInfo, ...]:
        shelf = read_shelf(self._env, self.target, self._workers)
        keep_catalog(self.target, shelf)
        return shelf.infos

    @contextmanager
    def _operation(self, what: str, progress: ProgressCallback | None) -> Iterator[Flow]:
        """Something that copies: it can be stopped, is limited, and tells how far it is."""
        stop = Stop(what)
        with self._lock:
            self._raise_if_closed()
            self._running.add(stop)
        try:
            yield Flow(
                read_limit=self.read_limit,
                write_limit=self.write_limit,
                meter=Meter(self._env.clock, progress, self.options.progress_bytes),
                stop=stop,
                chunk_bytes=self.options.chunk_bytes,
            )
        finally:
            with self._lock:
                self._running.discard(stop)

    def _raise_if_closed(self) -> None:
        if self._closed:
            raise ClosedError("the backup engine is closed")
