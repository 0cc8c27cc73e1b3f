"""The log archive of a node, as its event loop sees it."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from replicad import BackupEngine
from replicad.daemon.backups import archiving
from replicad.daemon.backups.archiving import LogArchiving
from replicad.daemon.backups.known_targets import KnownTargets
from replicad.daemon.backups.on_request import NodeBackups, load_engine
from replicad.daemon.backups.options import NodeBackupOptions
from replicad.env import Env
from replicad.store.database import open_database
from tests.support.stores.small import small_options
from tests.support.waiting import until


async def test_what_archives_is_loaded_in_a_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop goes on meanwhile, and all log is held: nobody knows yet what the target has."""
    options = NodeBackupOptions(target=str(tmp_path / "backups"), archive_log=True)
    known = KnownTargets(Env(), tmp_path / "node")
    node = LogArchiving(Env(), options, known)
    loaded: list[tuple[bool, int | None]] = []

    def noting(*arguments: Any) -> BackupEngine:
        assert node.hold is not None
        in_loop = threading.current_thread() is threading.main_thread()
        loaded.append((in_loop, node.hold.oldest_needed()))
        return load_engine(*arguments)

    monkeypatch.setattr(archiving, "load_engine", noting)
    with open_database(tmp_path / "a", small_options()) as database:
        running = asyncio.create_task(node.run(database, NodeBackups(Env(), options, known)))
        await until(lambda: loaded)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert loaded == [(False, 1)]
