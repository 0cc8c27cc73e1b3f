"""Backups that a node makes of itself."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from replicad import BackupEngine, InvalidArgument, NotFoundError, StoppedError, TargetError
from replicad.backup.target import Target
from replicad.daemon.backups import on_request
from replicad.daemon.backups.known_targets import KnownTargets
from replicad.daemon.backups.on_request import NodeBackups, load_engine
from replicad.daemon.backups.options import NodeBackupOptions
from replicad.env import Env
from replicad.store.database import open_database
from tests.support.stores.small import fill, small_options


async def test_a_node_purges_its_own_backups_only(tmp_path: Path) -> None:
    """`keep` counts the backups of its database; those of others that share the target stay."""
    target = tmp_path / "backups"
    options = NodeBackupOptions(target=str(target), keep=2)
    with open_database(tmp_path / "a", small_options()) as a, open_database(tmp_path / "b") as b:
        for database in (a, b):
            fill(database, 20)
        with BackupEngine(target) as engine:
            for _ in range(3):
                engine.create_backup(a)
        node = NodeBackups(Env(), options, KnownTargets(Env(), tmp_path / "node"))
        for _ in range(3):
            made = await node.create(b, None, flush=False, metadata=b"")
        assert made["purged"] == [4]
        with BackupEngine(target) as engine:
            assert [info.id for info in engine.get_backup_info()] == [1, 2, 3, 5, 6]


@pytest.mark.parametrize("where", ["memory://x", "backups", "", "file://backups"])
async def test_a_target_that_a_node_cannot_use(tmp_path: Path, where: str) -> None:
    """It is refused before anything is made."""
    with open_database(tmp_path / "a", small_options()) as database:
        options = NodeBackupOptions(target=str(tmp_path / "backups"))
        node = NodeBackups(Env(), options, KnownTargets(Env(), tmp_path / "node"))
        with pytest.raises(InvalidArgument):
            await node.create(database, where, flush=False, metadata=b"")


async def test_a_node_backs_up_to_the_target_that_it_was(tmp_path: Path) -> None:
    """An empty mount point, or a target made anew, is refused until somebody says that it is meant."""
    target, away = tmp_path / "backups", tmp_path / "away"
    options = NodeBackupOptions(target=str(target), keep=1)
    with open_database(tmp_path / "a", small_options()) as database:
        node = NodeBackups(Env(), options, KnownTargets(Env(), tmp_path / "node"))
        await node.create(database, None, flush=False, metadata=b"")
        target.rename(away)
        for _ in range(2):
            with pytest.raises(NotFoundError, match="not the target that it was"):
                await node.create(database, None, flush=False, metadata=b"")
            again = NodeBackups(Env(), options, KnownTargets(Env(), tmp_path / "node"))
            node = again
            target.mkdir(exist_ok=True)
        assert list(target.iterdir()) == []
        target.rmdir()
        away.rename(target)
        await node.create(database, None, flush=False, metadata=b"")
        target.rename(away)
        (tmp_path / "node" / "state" / "targets.json").unlink()
        await node.create(database, None, flush=False, metadata=b"")
        assert len(BackupEngine(target).get_backup_info()) == 1


@pytest.mark.parametrize("how", ["stop", "cancel"])
async def test_a_stop_holds_though_the_copying_has_not_begun(tmp_path: Path, how: str) -> None:
    """Whoever stops a backup may come before its thread does: nothing is made then."""
    options = NodeBackupOptions(target=str(tmp_path / "backups"))
    known = _SlowToConfirm(Env(), tmp_path / "node")
    with open_database(tmp_path / "a", small_options()) as database:
        fill(database, 20)
        node = NodeBackups(Env(), options, known)
        making = asyncio.ensure_future(node.create(database, None, flush=False, metadata=b""))
        await asyncio.to_thread(known.asked.wait)
        if how == "stop":
            assert node.stop()
        else:
            making.cancel()
            await asyncio.sleep(0)
        known.may_go_on.set()
        with pytest.raises(StoppedError if how == "stop" else asyncio.CancelledError):
            await making
        with BackupEngine(tmp_path / "backups") as engine:
            assert engine.get_backup_info() == []
    last = node.document()["last"]
    why = "the backup was stopped" if how == "stop" else "the client that asked for it went away"
    assert (last["error"], last["stopped"]) == (why, True)


async def test_what_makes_backups_is_loaded_in_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop goes on meanwhile, and a stop that comes then holds."""
    may_go_on = threading.Event()

    def slow(*arguments: Any) -> BackupEngine:
        may_go_on.wait()
        return load_engine(*arguments)

    monkeypatch.setattr(on_request, "load_engine", slow)
    with open_database(tmp_path / "a", small_options()) as database:
        options = NodeBackupOptions(target=str(tmp_path / "backups"))
        node = NodeBackups(Env(), options, KnownTargets(Env(), tmp_path / "node"))
        making = asyncio.ensure_future(node.create(database, None, flush=False, metadata=b""))
        await asyncio.sleep(0)
        with pytest.raises(InvalidArgument, match="a backup is being made"):
            await node.create(database, None, flush=False, metadata=b"")
        assert node.stop()
        may_go_on.set()
        with pytest.raises(StoppedError):
            await making
        assert not node.stop()
        assert (await node.create(database, None, flush=False, metadata=b""))["id"] == 1


class _SlowToConfirm(KnownTargets):
    """Looks at the target until it is told to go on: a disk that takes its time."""

    def __init__(self, env: Env, data_dir: Path) -> None:
        super().__init__(env, data_dir)
        self.asked = threading.Event()
        self.may_go_on = threading.Event()

    def confirm(self, target: Target) -> None:
        self.asked.set()
        self.may_go_on.wait()
        super().confirm(target)


async def test_damage_at_the_target_is_no_damage_of_the_node(tmp_path: Path) -> None:
    """It is told as the target's, so that nobody doubts the node's own data for it."""
    target = tmp_path / "backups"
    options = NodeBackupOptions(target=str(target))
    with open_database(tmp_path / "a", small_options()) as database:
        fill(database, 300)
        database.flush()
        node = NodeBackups(Env(), options, KnownTargets(Env(), tmp_path / "node"))
        await node.create(database, None, flush=False, metadata=b"")
        for table in (target / "shared_checksum").iterdir():
            table.write_bytes(table.read_bytes()[:-1])
        with pytest.raises(TargetError, match="the target is damaged"):
            await node.create(database, None, flush=False, metadata=b"")
