"""What a node makes of a target that it begins with: which backup, how far, and what is left afterwards."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from replicad import BackupEngine
from replicad.backup.restore.ready_copy import CopyMaker, Done, ReadyCopy
from replicad.daemon.backups.from_backup import PLACE, FromBackup
from replicad.daemon.backups.options import NodeBackupOptions
from replicad.env import Env
from replicad.errors import BackupRefusedError
from replicad.replication.policy.agree import History
from replicad.state.records import BootstrapProgress
from replicad.store.database import open_database
from tests.support.stores.small import fill, small_options
from tests.support.waiting import until


class Prepared:
    """A target with two backups, the second one newer, and the history of their primary."""

    def __init__(self, directory: Path) -> None:
        self.target = directory / "backups"
        self.data = directory / "replica"
        with (
            open_database(directory / "db", small_options()) as database,
            BackupEngine(self.target) as engine,
        ):
            fill(database, 100)
            self.first = engine.create_backup(database, flush_before_backup=True)
            fill(database, 100)
            self.second = engine.create_backup(database, flush_before_backup=True)
            self.primary = History(database.database_id, database.position, database.epochs)
        self.shown: list[BootstrapProgress] = []
        self.source = FromBackup(Env(), str(self.target), self.data, NodeBackupOptions())

    async def restore(self) -> Path | None:
        return await self.source.restore(self.primary, self.shown.append)


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    return Prepared(tmp_path)


async def test_the_newest_backup_is_restored(prepared: Prepared) -> None:
    """What is ready lies beside the data, and goes when it is installed."""
    made = await prepared.restore()
    assert made is not None and made.is_relative_to(prepared.data / PLACE)
    assert prepared.source.last is not None and prepared.source.last["backup"] == prepared.second.id
    await until(
        lambda: prepared.shown and prepared.shown[-1].size_bytes == prepared.shown[-1].size_bytes_total
    )
    await prepared.source.installed()
    assert not (prepared.data / PLACE).exists()


async def test_a_list_that_cannot_be_read_is_passed_over(prepared: Prepared) -> None:
    """As by `replicad backup restore`; when none can be read, the file is named."""
    (prepared.target / "meta" / f"{prepared.second.id}.json").write_bytes(b"damaged")
    assert await prepared.restore() is not None
    assert prepared.source.last is not None and prepared.source.last["backup"] == prepared.first.id
    (prepared.target / "meta" / f"{prepared.first.id}.json").write_bytes(b"damaged")
    with pytest.raises(BackupRefusedError, match=r"meta/\d+\.json") as refused:
        await prepared.restore()
    assert refused.value.code == "damaged-backup"


async def test_a_backup_that_is_purged_meanwhile_gives_way_to_the_next(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is missing is damage only while the backup is still listed."""
    make = CopyMaker.make

    def purge_first(maker: CopyMaker) -> ReadyCopy:
        monkeypatch.setattr(CopyMaker, "make", make)
        with BackupEngine(prepared.target) as engine:
            engine.delete_backup(prepared.second.id)
            engine.garbage_collect(0)
        return make(maker)

    monkeypatch.setattr(CopyMaker, "make", purge_first)
    assert await prepared.restore() is not None
    assert prepared.source.last is not None and prepared.source.last["backup"] == prepared.first.id


async def test_a_missing_table_is_damage(prepared: Prepared) -> None:
    for table in (prepared.target / "shared_checksum").iterdir():
        table.unlink()
    with pytest.raises(BackupRefusedError, match=r"\.sst") as refused:
        await prepared.restore()
    assert refused.value.code == "damaged-backup"


async def test_a_cancelled_restore_has_ended_when_it_says_so(prepared: Prepared) -> None:
    """No thread of it writes any more."""
    slow = NodeBackupOptions(read_bytes_per_second=2000)
    source = FromBackup(Env(), str(prepared.target), prepared.data, slow)
    task = asyncio.create_task(source.restore(prepared.primary, prepared.shown.append))
    await until(lambda: prepared.shown)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert source.last is None
    assert not (prepared.data / PLACE / "database").exists()


async def test_a_stopped_restore_shows_nothing_more(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its threads told while it was being stopped is not for the node, which has gone on."""
    make, began, goes_on = CopyMaker.make, threading.Event(), threading.Event()

    def held(maker: CopyMaker) -> ReadyCopy:
        began.set()
        goes_on.wait()
        maker._report(Done(1, 1, 1, 1))
        return make(maker)

    monkeypatch.setattr(CopyMaker, "make", held)
    task = asyncio.create_task(prepared.restore())
    await until(began.is_set)
    task.cancel()
    asyncio.get_running_loop().call_soon(goes_on.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert prepared.shown == []


def test_what_a_killed_attempt_left_goes_when_there_is_data(prepared: Prepared) -> None:
    (prepared.data / PLACE / "files").mkdir(parents=True)
    prepared.source.not_needed()
    assert not (prepared.data / PLACE).exists()
