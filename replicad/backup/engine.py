"""The backup engine: everything that is done with the backups at one target."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path

from replicad.backup.archive.check import archived_databases
from replicad.backup.archive.names import database_prefix, objects_of
from replicad.backup.archive.retention import Base, log_to_drop
from replicad.backup.attachments import CLOCK_STEP_SECONDS, Attachments
from replicad.backup.backup_list import backup_ids, keep_catalog, read_shelf
from replicad.backup.catalog import summary
from replicad.backup.collect import Collected, Collector
from replicad.backup.create import Creation
from replicad.backup.databases import backups_to_drop, find_database
from replicad.backup.directory_target import check_apart
from replicad.backup.info import BackupInfo
from replicad.backup.names import META, BackupId
from replicad.backup.options import BackupEngineOptions
from replicad.backup.progress import ProgressCallback
from replicad.backup.read_only import BackupEngineReadOnly
from replicad.backup.source import Source, open_source
from replicad.backup.target import Target
from replicad.env import Env
from replicad.errors import InvalidArgument, NotFoundError, StoreError
from replicad.store.copies.cut import Cut
from replicad.store.database import Database
from replicad.types import DatabaseId


class BackupEngine(BackupEngineReadOnly):
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
        super().__init__(target, options, env=env)
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
        what was copied. InvalidArgument for a target within a database.
        """
        check_apart(self.target, *_directories_of(source))

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

        # The backup is there: a target that now cannot be listed must not make it look failed.
        with contextlib.suppress(OSError, StoreError):
            infos = {info.id: info for info in self._refresh()}
            return infos.get(meta.id) or summary(meta, 0)
        return summary(meta, 0)

    # Removing

    def delete_backup(self, id: int) -> Collected:
        """Deletes a backup and the files that no other needs. Raises NotFoundError; CorruptionError or
        NewerFormatError when another one cannot be read, which has to go first or with it."""
        return self.delete_backups([id])

    def delete_backups(self, ids: Iterable[int]) -> Collected:
        """`delete_backup` of several: of all, or of none when one of them is not there."""
        wanted = sorted({BackupId(id) for id in ids})

        def these(present: list[BackupId]) -> list[BackupId]:
            for id in wanted:
                if id not in present:
                    raise NotFoundError(f"{self.target.url} holds no backup {id}")
            return wanted

        return self._collect(these)

    def purge_old_backups(self, keep: int, *, database_id: bytes | str | None = None) -> Collected:
        """Deletes all but the newest `keep` of each database, or of one: its id, or the beginning of its hex.

        One that cannot be read is not counted. It goes when it is older than all that are kept, and never
        with a purge of one database, because nobody knows whose it is.
        """
        if keep < 0:
            raise InvalidArgument(f"keep must be at least 0, not {keep}")
        infos = self._readable()
        chosen = None
        if database_id is not None:
            try:
                chosen = find_database((info.database_id for info in infos), database_id)
            except NotFoundError:
                return self._collect(lambda ids: [])
        known = {info.id for info in infos}

        def these(present: list[BackupId]) -> list[BackupId]:
            damaged = [id for id in present if id not in known]
            drop = backups_to_drop(infos, damaged, keep, chosen)
            return [id for id in present if id in drop]

        return self._collect(these)

    def garbage_collect(self, grace_seconds: float | None = None) -> Collected:
        """Removes files that no backup needs, and what backups left that died while they were made.

        One that is being made, here or elsewhere, is taken for dead when nothing was heard of it for
        `grace_seconds` (by default those of the options); 0 is for when surely no backup is being made.
        """
        return self._collect(lambda ids: [], grace_seconds)

    def purge_log(
        self,
        *,
        keep_seconds: float | None = None,
        keep_backups: int | None = None,
        database_id: bytes | None = None,
    ) -> int:
        """Deletes archived log that neither limit needs, of each database or of one; how many bytes.

        With `keep_seconds` every moment since then can still be restored, with `keep_backups` everything
        since that many backups ago. It goes only up to the position of a backup that is there, so no chain
        breaks; where there is no backup nothing goes.
        """
        self._raise_if_closed()
        infos = self._readable()
        gone = 0
        for each_id in archived_databases(self.target) if database_id is None else [DatabaseId(database_id)]:
            drop = log_to_drop(
                objects_of(self.target.list(database_prefix(each_id))),
                [Base(i.position, i.commit_time_us) for i in infos if i.database_id == each_id],
                now_us=self._env.clock.wall_us(),
                keep_seconds=keep_seconds,
                keep_backups=keep_backups,
            )
            self.target.delete([each.name for each in drop])
            gone += sum(each.size_bytes for each in drop)
        return gone

    def delete_log(self, database_id: bytes | str) -> int:
        """Deletes all archived log of a database that has no backup any more; how many bytes.

        For a database that no node archives: one that does would find its archive cut off. The database by
        its id, or the beginning of its hex. Raises InvalidArgument while it has backups, or while there are
        some that cannot be read and may be its own, and NotFoundError when there is no log of it.
        """
        self._raise_if_closed()

        chosen = find_database(archived_databases(self.target), database_id, "archived log")
        if damaged := self.get_corrupted_backups():
            raise InvalidArgument(
                f"backups that cannot be read may be those of database {chosen.hex()}: delete them first: "
                + ", ".join(map(str, sorted(damaged)))
            )

        if own := [info.id for info in self._readable() if info.database_id == chosen]:
            raise InvalidArgument(
                f"database {chosen.hex()} has backups, which its log belongs to: delete them first: "
                + ", ".join(map(str, own))
            )

        names = self.target.list(database_prefix(chosen))
        self.target.delete(list(names))
        return sum(names.values())

    def _collect(
        self, choose: Callable[[list[BackupId]], list[BackupId]], grace_seconds: float | None = None
    ) -> Collected:
        self._raise_if_closed()
        grace = self.options.grace_seconds if grace_seconds is None else grace_seconds
        chosen = choose(backup_ids(self.target, self.target.list(META)))
        collector = Collector(self._env, self.target, grace_seconds=grace, workers=self._workers)
        collected = collector.run(chosen)
        self._refresh()
        return collected

    def _refresh(self) -> tuple[BackupInfo, ...]:
        listing = read_shelf(self._env, self.target, self._workers, believe=True)
        keep_catalog(self.target, listing)
        return listing.infos


def _directories_of(source: Database | Cut | Source | str | Path) -> list[Path]:
    """Where the files of a source lie, as far as it is on this machine."""
    if isinstance(source, Database):
        return [source.path, *([source.options.wal_dir] if source.options.wal_dir else [])]
    if isinstance(source, Cut):
        return [source.directory, *{part.path.parent for part in source.log}]
    return [Path(source)] if isinstance(source, str | Path) else []
