"""A replica without data may begin with a backup instead of a copy that its primary sends.

    no data ──> the primary says which database it has ──> the backup is restored ──> connect again: agree
                                                               │nothing fits               │
                                                               └──> a copy <── log gone ───┘

The primary comes first, because only it knows which database, and which line of its history, is wanted. No
session is kept meanwhile: a restore may take hours. Belongs to the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from replicad.env import Clock
from replicad.env.events import get_logger
from replicad.replication.copy.fetch import TELL_SECONDS
from replicad.replication.copy.transfer import Transfer
from replicad.replication.policy.agree import Code, History
from replicad.replication.ports import BackupSource
from replicad.replication.tasks import beside
from replicad.state.records import BootstrapProgress

log = get_logger("replicad.replication")


class RestoreFirst:
    """The restore that a replica begins with; once it has ended well, its replica goes on as any other."""

    def __init__(self, source: BackupSource, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._progress: BootstrapProgress | None = None
        self.is_due = True
        """Whether the data is still to come from the backup."""
        self.waits_for = "the backups at the target to be listed"
        self.transfer: Transfer | None = None
        self.gap: str | None = None
        """Why the restored log does not reach the primary's."""

    async def run(self, primary: History, on_progress: Callable[[BootstrapProgress], None]) -> Path | None:
        """A verified, durable database that continues in the primary's log, to be installed; None when no
        backup fits, so that a copy has to be fetched. What was fetched stays for the next attempt when it is
        cancelled or fails."""
        self.transfer = self._progress = None

        def note(progress: BootstrapProgress) -> None:
            self._note(progress)
            on_progress(progress)

        staging = await beside(self._source.restore(primary, note), self._tell())
        self.is_due = staging is not None
        return staging

    def installed(self) -> None:
        self.is_due = False

    def proposed_copy(self, code: str, reason: str) -> None:
        """The primary proposes a copy: right after a restore that shows a gap."""
        if self.is_due or code != Code.LOG_GONE.value or self.gap is not None or self._progress is None:
            return
        self.gap = reason
        log.warning(
            "restore.gap",
            reason=reason,
            next="what the archive has by now is applied; else a copy is fetched, without the tables that "
            "are here already",
        )

    def _note(self, progress: BootstrapProgress) -> None:
        now = self._clock.monotonic()
        if self._progress is None or self.transfer is None:
            self.transfer = Transfer(progress.size_bytes_total - progress.size_bytes, now)
        else:
            self.transfer.move(progress.size_bytes - self._progress.size_bytes, now)
        self._progress = progress
        self.waits_for = "the backup's files, and the log after it"

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(TELL_SECONDS)
            if self._progress is None or self.transfer is None:
                continue
            now = self._clock.monotonic()
            left = self.transfer.seconds_left(now)
            log.info(
                "restore.progress",
                files=self._progress.files,
                files_total=self._progress.files_total,
                size_bytes=self._progress.size_bytes,
                size_bytes_total=self._progress.size_bytes_total,
                rate_bytes=round(self.transfer.bytes_per_second(now)),
                eta_seconds=None if left is None else round(left, 1),
            )
