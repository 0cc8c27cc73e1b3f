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
from replicad.types import Position
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


async def test_another_target_begins_the_archive_anew(tmp_path: Path) -> None:
    """The log goes there from then on, after a backup that it continues."""
    first, second = (
        NodeBackupOptions(target=str(tmp_path / name), archive_log=True, archive_seconds=0.01)
        for name in ("first", "second")
    )
    known = KnownTargets(Env(), tmp_path / "node")
    node, backups = LogArchiving(Env(), first, known), NodeBackups(Env(), first, known)
    with open_database(tmp_path / "a", small_options(), retention=node.hold) as database:

        def archived() -> int:
            document = node.document()
            assert document is not None
            return Position.parse(document.get("position") or "0:0:0000000000000000").sequence

        running = asyncio.create_task(node.run(database, backups))
        try:
            database.put(b"a", b"1")
            await until(lambda: node._restorable and archived() == 1)
            backups.reconfigure(second)
            node.reconfigure(second)
            database.put(b"b", b"2")
            await until(lambda: (tmp_path / "second").exists() and node._restorable and archived() == 2)
            node.reconfigure(second)
            assert not node._again.is_set()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    assert running.cancelled()
