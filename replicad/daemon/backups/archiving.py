"""Archives the log to the backup target while the node runs; what fails is tried again.

    archiving ──the target fails──► failing ──a step works──► archiving

While the target cannot be reached the log stays here, up to a cap; the status says since when, and why.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from replicad.backup.archive.hold import ArchiveHold
from replicad.daemon.backups.known_targets import KnownTargets
from replicad.daemon.backups.on_request import NodeBackups, load_engine
from replicad.daemon.backups.options import NodeBackupOptions
from replicad.env import Env
from replicad.env.events import get_logger
from replicad.env.reasons import reason_of
from replicad.errors import ReplicadError
from replicad.replication.tasks import beside, in_thread
from replicad.store.database import Database

if TYPE_CHECKING:
    from replicad.backup.archive.archiver import LogArchiver
    from replicad.backup.engine import BackupEngine

log = get_logger("replicad.daemon")

TICK_SECONDS = 1.0
BACKOFF_SECONDS_MAX = 60.0
PURGE_SECONDS = 3600.0
BASE_SECONDS = 3600.0


class LogArchiving:
    """Belongs to the event loop. The database must be opened with `hold`."""

    def __init__(self, env: Env, options: NodeBackupOptions, known: KnownTargets) -> None:
        self._env = env
        self._known = known
        self._options = options
        self.hold = ArchiveHold(options.archive_hold_bytes_max) if options.archive_log else None
        self._again = asyncio.Event()
        self._archiver: LogArchiver | None = None
        self._error: str | None = None
        self._failures = 0
        self._failing_since = 0.0
        self._purged_at: float | None = None
        self._marked_at = float("-inf")
        self._restorable: bool | None = None
        self._complete_at: float | None = None
        """When the last step began that left nothing durable unarchived."""
        """Whether there is a backup that the archived log continues; None until that was looked at."""
        self._base_task: asyncio.Task[None] | None = None
        self._base_at = float("-inf")
        self._base_gap: tuple[int, int] | None = None

    def reconfigure(self, options: NodeBackupOptions) -> None:
        """Another target or another pace begins the archiving anew. Whether log is archived at all needs a
        restart: the store was opened with the hold, or without."""
        before, self._options = self._options, options
        if self.hold is not None:
            self.hold.bytes_max = options.archive_hold_bytes_max
        if (before.target, before.archive_seconds) != (options.target, options.archive_seconds):
            self._again.set()

    async def run(self, database: Database, backups: NodeBackups) -> None:
        """Never returns; does nothing unless it is configured. Makes a backup, with `backups`, when nothing
        that is archived could be restored."""
        if self.hold is None:
            await asyncio.Event().wait()
        while True:
            self._again.clear()
            await beside(self._again.wait(), self._archive(database, backups))

    async def _archive(self, database: Database, backups: NodeBackups) -> None:
        """Never returns; archives to the target that is configured at its beginning."""
        assert self.hold is not None and self._options.target is not None
        self._failures, self._error, self._restorable = 0, None, None
        self._marked_at, self._base_at, self._purged_at = float("-inf"), float("-inf"), None

        # Until the archiver has looked at the target it is not known how far the log was archived: everything
        # stays here meanwhile.
        self.hold.needed = 1
        engine = await in_thread(load_engine, self._options.target, None, self._env)
        self._archiver = await in_thread(self._load_archiver, engine, database)

        # The database is closed when this has ended, so the backup that reads it ends first.
        try:
            await self._keep_archiving(engine, self._archiver, database, backups)
        finally:
            if self._base_task is not None:
                self._base_task.cancel()
                await asyncio.gather(self._base_task, return_exceptions=True)
            self._archiver.close()
            self._archiver = None
            engine.close()

    def _load_archiver(self, engine: BackupEngine, database: Database) -> LogArchiver:
        """In a thread, as `load_engine`."""
        from replicad.backup.archive.archiver import LogArchiver
        from replicad.backup.archive.options import ArchiveOptions

        options = ArchiveOptions(seconds=self._options.archive_seconds)
        return LogArchiver(engine.target, database, options, self.hold, self._known.confirm)

    async def _keep_archiving(
        self, engine: BackupEngine, archiver: LogArchiver, database: Database, backups: NodeBackups
    ) -> None:
        from replicad.backup.archive.archiver import MARK_SECONDS  # loaded already, by `run`

        clock = self._env.clock
        stepped_at = float("-inf")
        while True:
            if archiver.is_due(clock.monotonic() - stepped_at):
                stepped_at = clock.monotonic()
                held = None if self.hold is None else self.hold.oldest_needed()
                try:
                    while await in_thread(archiver.step):
                        self._works()
                    self._works()
                    # What was durable then is archived.
                    self._complete_at = stepped_at

                    if self.hold is not None and self.hold.oldest_needed() != held:
                        # On a node that takes no writes nothing else looks which log may go now.
                        database.review_retention()

                    # Without a mark an idle database could not be restored to a time after its last write.
                    if clock.monotonic() - self._marked_at >= MARK_SECONDS:
                        self._marked_at = clock.monotonic()
                        await in_thread(archiver.mark)
                    self._base_is_due(engine, archiver, database, backups)
                    await self._purge(engine, database)
                except Exception as error:
                    # A target's library may raise anything. The log stays here, and the next attempt goes on.
                    await asyncio.sleep(self._fails(error))
                    continue
            await asyncio.sleep(min(TICK_SECONDS, archiver.options.seconds))

    def _works(self) -> None:
        if self._failures:
            log.info("archive.works_again", target=self._options.target, failures=self._failures)
        self._failures, self._error = 0, None

    def _fails(self, error: Exception) -> float:
        """How long to wait before the next attempt."""
        if not self._failures:
            self._failing_since = self._env.clock.monotonic()
        self._failures += 1
        self._error = reason_of(error)
        wait = min(BACKOFF_SECONDS_MAX, 2.0 ** min(self._failures - 1, 10))
        seconds = self._env.random.uniform(wait / 2, wait)
        log.warning(
            "archive.failed",
            target=self._options.target,
            reason=self._error,
            failures=self._failures,
            retry_seconds=round(seconds, 1),
        )
        return seconds

    def _base_is_due(
        self, engine: BackupEngine, archiver: LogArchiver, database: Database, backups: NodeBackups
    ) -> None:
        """At the start, after a gap and once an hour: archived log is of no use without a backup before it.
        The log is archived while the backup is made."""
        now = self._env.clock.monotonic()
        due = now >= self._base_at or archiver.gap != self._base_gap
        if due and (self._base_task is None or self._base_task.done()):
            self._base_at, self._base_gap = now + BASE_SECONDS, archiver.gap
            self._base_task = asyncio.create_task(self._look_for_base(engine, database, backups))

    async def _look_for_base(self, engine: BackupEngine, database: Database, backups: NodeBackups) -> None:
        try:
            self._restorable = await in_thread(engine.has_base, database.database_id)
            if not self._restorable:
                log.info("archive.needs_backup", target=self._options.target)
                await backups.create(database, None, flush=False, metadata=b"", for_log=True)
                self._restorable = True
        except Exception as error:
            # A target's library may raise anything. The status says that nothing can be restored, and this is
            # tried again.
            self._base_at = self._env.clock.monotonic() + BACKOFF_SECONDS_MAX
            log.warning("archive.without_backup", target=self._options.target, reason=reason_of(error))

    async def _purge(self, engine: BackupEngine, database: Database) -> None:
        """Removes archived log of this database that the limits do not ask for any more, once an hour."""
        options, now = self._options, self._env.clock.monotonic()
        if options.keep_log_seconds is None and options.keep_log_backups is None:
            return
        if self._purged_at is not None and now - self._purged_at < PURGE_SECONDS:
            return

        # Noted before it is tried: archiving must not be held up by a target that cannot remove.
        self._purged_at = now
        try:
            gone = await in_thread(
                engine.purge_log,
                keep_seconds=options.keep_log_seconds,
                keep_backups=options.keep_log_backups,
                database_id=database.database_id,
            )
        except (ReplicadError, OSError) as error:
            log.warning("archive.not_purged", target=options.target, reason=reason_of(error))
            return
        if gone:
            log.info("archive.purged", target=options.target, size_bytes=gone)

    def document(self) -> dict[str, Any] | None:
        """For the status document; None when the log is not archived."""
        if self.hold is None:
            return None
        document: dict[str, Any] = {
            "target": self._options.target,
            "state": "failing" if self._failures else "waiting" if self._archiver is None else "archiving",
        }
        if self._failures:
            document |= {
                "failing_seconds": round(self._env.clock.monotonic() - self._failing_since, 1),
                "failures": self._failures,
                "last_error": self._error,
            }
        document["restorable"] = self._restorable
        if self._complete_at is not None:
            document["age_seconds"] = round(self._env.clock.monotonic() - self._complete_at, 3)
        return document | ({} if self._archiver is None else self._archiver.document())
