"""Backups that a node makes of itself when it is asked; one at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from replicad.backup.address import check_for_node
from replicad.daemon.backups.known_targets import KnownTargets
from replicad.daemon.backups.options import NodeBackupOptions
from replicad.env import Env
from replicad.env.events import get_logger
from replicad.env.reasons import reason_of
from replicad.errors import (
    ClosedError,
    ConfigError,
    CorruptionError,
    InvalidArgument,
    ReplicadError,
    StoppedError,
    TargetError,
)
from replicad.replication.tasks import in_thread
from replicad.store.database import Database

if TYPE_CHECKING:
    from replicad.backup.engine import BackupEngine
    from replicad.backup.info import BackupInfo
    from replicad.backup.options import BackupEngineOptions
    from replicad.backup.progress import Progress

log = get_logger("replicad.daemon")


def load_engine(target: str, options: BackupEngineOptions | None, env: Env) -> BackupEngine:
    """In a thread: a node that never makes a backup never loads what makes them, and loading it would keep
    the event loop for a tenth of a second, or for seconds where the target has a library of its own."""
    from replicad.backup.engine import BackupEngine

    return BackupEngine(target, options, env=env)


class NodeBackups:
    """Belongs to the event loop; the copying runs in threads."""

    def __init__(self, env: Env, options: NodeBackupOptions, known: KnownTargets) -> None:
        self._env = env
        self._known = known
        self._options = options
        self._engine: BackupEngine | None = None
        self._progress: Progress | None = None
        self._last: dict[str, Any] | None = None
        self._made_at: float | None = None
        """When the last one that went well began: it holds nothing that is newer."""
        self._for_log = False
        self._stopped = False
        self._idle = asyncio.Event()
        self._idle.set()

    def reconfigure(self, options: NodeBackupOptions) -> None:
        """For the backups that are begun from now on; the rates also for the one that is being made."""
        self._options = options
        if self._engine is not None:
            self._engine.read_limit.bytes_per_second = options.read_bytes_per_second
            self._engine.write_limit.bytes_per_second = options.write_bytes_per_second

    async def create(
        self,
        database: Database | None,
        target: str | None,
        *,
        flush: bool,
        metadata: bytes,
        for_log: bool = False,
    ) -> dict[str, Any]:
        """What was made; `for_log` when the node itself wants it, for its archived log to start from. Raises
        InvalidArgument when one is being made, and what the engine raises.

        Cancelling it, as when the client that asked goes away, stops it.
        """
        where = self._options.target if target is None else target
        if where is None:
            raise InvalidArgument("name a target, or configure one: [backup] target")
        try:
            check_for_node(where)
        except ConfigError as error:
            raise InvalidArgument(str(error)) from None
        if database is None:
            raise InvalidArgument("this node has no data yet")

        # The node makes a backup for its log by itself. No operator is refused because of that one.
        while not self._idle.is_set() and self._for_log:
            await self._idle.wait()
        if not self._idle.is_set():
            raise InvalidArgument(
                "a backup is being made; REPLICAD.STATUS shows it, REPLICAD.BACKUP STOP ends it"
            )

        # From here to `finally` no other backup begins: there is no await between the look and this.
        self._for_log, self._stopped = for_log, False
        self._progress = None
        self._idle.clear()
        try:
            self._engine = await in_thread(load_engine, where, self._options.engine_options(), self._env)
            if self._stopped:
                raise StoppedError("the backup was stopped")
            return await self._reported(self._engine, database, flush, metadata)
        finally:
            if self._engine is not None:
                self._engine.close()
            self._engine = self._progress = None
            self._idle.set()

    async def _reported(
        self, engine: BackupEngine, database: Database, flush: bool, metadata: bytes
    ) -> dict[str, Any]:
        log.info("backup.started", target=engine.target.url)
        try:
            return await self._make(engine, database, flush, metadata)
        except BaseException as error:
            target, reason = engine.target.url, reason_of(error)
            if isinstance(error, asyncio.CancelledError):
                reason = "the archive ended" if self._for_log else "the client that asked for it went away"

            # What somebody ended did not fail: nobody has to look for a fault.
            stopped = isinstance(error, asyncio.CancelledError | StoppedError)
            now = self._env.clock.wall_us()
            self._last = {"target": target, "error": reason, "stopped": stopped, "at_us": now}
            if stopped:
                log.warning("backup.stopped", target=target, reason=reason)
            else:
                log.warning("backup.failed", target=target, reason=reason)
            raise

    async def _make(
        self, engine: BackupEngine, database: Database, flush: bool, metadata: bytes
    ) -> dict[str, Any]:
        def create() -> BackupInfo:
            self._known.confirm(engine.target)
            info = engine.create_backup(
                database, flush_before_backup=flush, metadata=metadata, progress=self._note
            )
            self._known.confirm(engine.target)
            return info

        begun = self._env.clock.monotonic()
        making = asyncio.ensure_future(in_thread(create))
        try:
            info = await asyncio.shield(making)
        except asyncio.CancelledError:
            engine.close()
            await asyncio.wait([making])
            making.exception()
            raise
        except ClosedError as error:
            if self._stopped:
                raise StoppedError("the backup was stopped") from error
            raise
        except CorruptionError as error:
            if error.path is None or not error.path.is_relative_to(engine.target.url):
                raise
            # Damage at the target says nothing about this node's own data.
            raise TargetError(str(error)) from error
        self._made_at = begun
        document = self._last = {"target": engine.target.url, **info.as_dict()}
        log.info(
            "backup.made", **{name: document[name] for name in ("target", "id", "position", "copied_bytes")}
        )
        keep = self._options.keep
        if keep is not None and engine.target.url == self._own_url():
            try:
                gone = await in_thread(engine.purge_old_backups, keep, database_id=database.database_id)
                document["purged"] = list(gone.backups)
            except (ReplicadError, OSError) as error:
                document["purge_error"] = str(error)
                log.warning("backup.not_purged", target=engine.target.url, reason=str(error))
        return document

    def stop(self) -> bool:
        """Whether there was one to stop."""
        if self._idle.is_set():
            return False
        # The thread may not have begun to copy: `stop_backup` would find nothing to stop then, and the backup
        # would be made all the same. An engine that is closed begins nothing.
        self._stopped = True
        if self._engine is not None:
            self._engine.close()
        return True

    async def end(self) -> None:
        """Stops what is being made, and waits for it: the database is about to be closed."""
        self.stop()
        await self._idle.wait()

    def document(self) -> dict[str, Any]:
        """For the status document: what is being made, and what was made or failed last."""
        now = self._progress
        making: dict[str, Any] | None = None
        if self._engine is not None:
            making = {"target": self._engine.target.url}
            if now is not None:
                making |= {
                    "size_bytes": now.bytes_done,
                    "size_bytes_total": now.bytes_total,
                    "files": now.files_done,
                    "files_total": now.files_total,
                    "rate_bytes": round(now.bytes_per_second),
                    "eta_seconds": None if now.seconds_left is None else round(now.seconds_left, 1),
                }
        made_at, clock = self._made_at, self._env.clock
        age_seconds = None if made_at is None else round(clock.monotonic() - made_at, 3)
        return {"making": making, "last": self._last, "age_seconds": age_seconds}

    def _note(self, progress: Progress) -> None:
        self._progress = progress

    def _own_url(self) -> str | None:
        if self._options.target is None:
            return None
        from replicad.backup.engine import BackupEngine  # as in `create`

        return BackupEngine(self._options.target, env=self._env).target.url
