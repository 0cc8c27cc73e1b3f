"""A node without data gets it from a backup, and the archived log after that.

    DATA/restore/    what an interrupted restore leaves; `replicad backup restore` goes on from it, too

What is installed in the end came verified to one exact position. Until then DATA holds no database, whatever
ends the process. The node's id, its slots and its settings are those of DATA/state and of the configuration:
a backup has none of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replicad.daemon.backups.base_choice import Fit, ahead, check_databases, fit_of
from replicad.daemon.backups.options import NodeBackupOptions
from replicad.env import Env, ThreadRateLimiter, naming_full_disk
from replicad.env.events import get_logger
from replicad.errors import (
    BackupRefusedError,
    CorruptionError,
    InvalidArgument,
    NewerFormatError,
    NotFoundError,
)
from replicad.replication.policy.agree import History
from replicad.replication.tasks import in_thread
from replicad.state.records import BootstrapProgress
from replicad.types import DatabaseId

if TYPE_CHECKING:
    from replicad.backup.archive.joined_log import LogPiece
    from replicad.backup.meta import BackupMeta
    from replicad.backup.restore.ready_copy import Done, ReadyCopy
    from replicad.backup.stop import OperationStop
    from replicad.backup.target import Target

log = get_logger("replicad.daemon")

PLACE = "restore"
NO_COPY = bytes(16)
"""The id of a copy that no primary made."""

Show = Callable[[BootstrapProgress], None]


@dataclass(frozen=True, slots=True)
class _Base:
    meta: BackupMeta
    pieces: tuple[LogPiece, ...]


class FromBackup:
    """Satisfies replication's `BackupSource`. Belongs to the event loop; the work is done in a thread."""

    def __init__(self, env: Env, where: str, data: Path, options: NodeBackupOptions) -> None:
        self._env = env
        self.where = where
        self._place = data / PLACE
        self._workers = options.max_background_operations
        self._read_limit = ThreadRateLimiter(env.clock, options.read_bytes_per_second)
        self._write_limit = ThreadRateLimiter(env.clock, options.write_bytes_per_second)
        self.last: dict[str, Any] | None = None
        """What was restored, for the status document."""

    def reconfigure(self, options: NodeBackupOptions) -> None:
        """The rates take effect at once, the number of files with the next attempt."""
        self._workers = options.max_background_operations
        self._read_limit.bytes_per_second = options.read_bytes_per_second
        self._write_limit.bytes_per_second = options.write_bytes_per_second

    def not_needed(self) -> None:
        """At the start of a node that has data already: it goes on with that."""
        log.info("restore.not_needed", target=self.where, reason=f"{self._place.parent} has data already")
        # An attempt that was killed when its database was in place left what it had fetched.
        self._env.fs.remove_tree(self._place)

    async def restore(self, primary: History, on_progress: Show, /) -> Path | None:
        """See `BackupSource.restore`."""
        # A node that never restores anything does not load what restores.
        from replicad.backup.stop import OperationStop

        stop, loop = OperationStop("the restore"), asyncio.get_running_loop()

        def on_loop(progress: BootstrapProgress) -> None:
            # The node that stopped the restore has gone on: its link may be down by now.
            if not stop.is_requested:
                on_progress(progress)

        def show(progress: BootstrapProgress) -> None:
            loop.call_soon_threadsafe(on_loop, progress)

        began = self._env.clock.monotonic()
        working = asyncio.ensure_future(in_thread(self._restore, primary, stop, show))
        try:
            made = await asyncio.shield(working)
        except asyncio.CancelledError:
            stop.request()
            await asyncio.wait([working])
            working.exception()
            log.info("restore.stopped", target=self.where, kept=str(self._place))
            raise
        if made is None:
            return None
        base, copy = made
        seconds = round(self._env.clock.monotonic() - began, 3)
        log.info(
            "restore.finished",
            target=self.where,
            backup=base.meta.id,
            position=str(copy.position),
            fetched_bytes=copy.fetched_bytes,
            log_bytes=copy.log_bytes,
            seconds=seconds,
        )
        self.last = {
            "target": self.where,
            "backup": base.meta.id,
            "backup_position": str(base.meta.position),
            "position": str(copy.position),
            "size_bytes": sum(file.size_bytes for file in base.meta.database_files),
            "fetched_bytes": copy.fetched_bytes,
            "log_bytes": copy.log_bytes,
            "seconds": seconds,
        }
        return copy.path

    async def installed(self) -> None:
        """The data is in place: nothing goes on from what was fetched."""
        await in_thread(self._env.fs.remove_tree, self._place)

    def _restore(self, primary: History, stop: OperationStop, show: Show) -> tuple[_Base, ReadyCopy] | None:
        from replicad.backup.open_target import open_target

        try:
            target = open_target(self.where, self._env)
            with naming_full_disk(f"{self._place.parent}: no room to restore"):
                found = self._find(target, primary)
                while found is not None:
                    try:
                        return found, self._make(target, found, stop, show)
                    except NotFoundError:
                        # Backups are purged, and small log objects become large ones, at any time. If what is
                        # missing still belongs to the backup, the backup is damaged.
                        former, found = found, self._find(target, primary)
                        if found == former:
                            raise
                return None
        except (CorruptionError, NotFoundError) as error:
            raise BackupRefusedError(
                "damaged-backup",
                f"the backup at {self.where} is damaged: {error}; `replicad backup verify {self.where} --all "
                "--checksums` names the backups that are whole",
            ) from error
        except (NewerFormatError, InvalidArgument) as error:
            raise BackupRefusedError("unusable-backup", f"{self.where}: {error}") from error

    def _find(self, target: Target, primary: History) -> _Base | None:
        """The newest backup that the primary's history goes on from, and the archived log from there on;
        None when there is none."""
        from replicad.backup.archive.log import look_at_log
        from replicad.backup.backup_list import read_meta, read_shelf

        # The metas themselves count: a catalog does not show what was damaged since.
        shelf = read_shelf(self._env, target, self._workers, believe=False)
        if shelf.damaged and not shelf.infos:
            raise next(iter(shelf.damaged.values()))
        check_databases(self.where, primary.database_id, {info.database_id for info in shelf.infos})
        for id, error in shelf.damaged.items():
            log.warning("restore.passed_over", target=self.where, backup=id, reason=str(error))

        own = [info for info in shelf.infos if info.database_id == primary.database_id]
        for info in sorted(own, key=lambda info: info.id, reverse=True):
            try:
                meta = read_meta(target, info.id)
            except NotFoundError:
                continue  # It was purged meanwhile.
            fit, reason = fit_of(primary, History(meta.database_id, meta.position, meta.epochs))
            if fit is Fit.REFUSED:
                raise ahead(self.where, info.id, reason)
            if fit is Fit.TAKEN:
                archived = look_at_log(target, DatabaseId(primary.database_id), primary.epochs)
                line = archived.from_base(meta.position, primary.position.sequence)
                return _Base(meta, line.pieces)
            log.warning("restore.passed_over", target=self.where, backup=info.id, reason=reason)

        log.warning(
            "restore.nothing_fits",
            target=self.where,
            reason="no backup is of the primary's history: a copy is fetched from the primary; make a new "
            "backup for the next replica",
        )
        return None

    def _make(self, target: Target, base: _Base, stop: OperationStop, show: Show) -> ReadyCopy:
        from replicad.backup.restore.ready_copy import CopyMaker

        meta, started_us = base.meta, self._env.clock.wall_us()
        log.info(
            "restore.begins",
            target=target.url,
            backup=meta.id,
            position=str(meta.position),
            log_through=base.pieces[-1].through if base.pieces else None,
            attachments_left=len(meta.attachments),
        )

        def report(done: Done) -> None:
            show(
                BootstrapProgress(
                    copy_id=NO_COPY,
                    position=str(meta.position),
                    files=done.files,
                    files_total=done.files_total,
                    size_bytes=done.size_bytes,
                    size_bytes_total=done.size_bytes_total,
                    started_us=started_us,
                )
            )

        return CopyMaker(
            self._env,
            target,
            meta,
            base.pieces,
            self._place,
            workers=self._workers,
            read_limit=self._read_limit,
            write_limit=self._write_limit,
            stop=stop,
            report=report,
        ).make()
