"""Restoring in one thread, from the backups that the scripts make."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any
from unittest.mock import patch

from replicad import BackupEngine
from replicad.backup.restore import swap
from replicad.errors import PoisonedError
from replicad.store.database import Database, open_database
from tests.crash.recording import ONE_AT_A_TIME
from tests.faults.run import Run, Wrong

ROOT = Path("/backups")


def restore(run: Run, id: int, path: Path) -> None:
    """The database that log is replayed in has no threads: whoever waits for it does its work."""

    def adopted(*arguments: Any, **named: Any) -> Database:
        database = open_database(*arguments, **named)
        background = database._writer().background
        if run.plan is not None and run.plan.duration == "for ever":
            background._stopping = _GivenUp()
        return database

    try:
        with patch.object(swap, "open_database", adopted):
            BackupEngine(ROOT, ONE_AT_A_TIME, env=run.env()).restore_backup(id, path)
    except PoisonedError as error:
        if run.plan is not None and run.plan.is_full_disk:
            raise Wrong(f"a full disk stopped the store that replays the log: {error!r}") from error
        raise OSError("the store that replays the log stopped") from error
    if run.fs.exists(path / "restore"):
        raise Wrong(f"a restore that is done left {path / 'restore'}")


class _GivenUp(threading.Event):
    """Waiting for room ends the work that waits for it."""

    def wait(self, timeout: float | None = None) -> bool:
        self.set()
        return True
