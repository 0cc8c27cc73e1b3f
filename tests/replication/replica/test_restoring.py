"""A replica that begins with a backup: what it asks its primary for, and when it fetches a copy anyway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from replicad.env import Env
from replicad.errors import BackupRefusedError
from replicad.replication.policy.agree import History
from replicad.replication.replica.restoring import RestoreFirst
from replicad.state.records import BootstrapProgress
from tests.support.replication.fake_nodes import FakeData, Primary, Replica, running
from tests.support.replication.fake_store import FakeStore, Frame
from tests.support.waiting import until


def progress(size_bytes: int) -> BootstrapProgress:
    return BootstrapProgress(
        copy_id=bytes(16),
        position="1:5:00",
        files=0,
        files_total=1,
        size_bytes=size_bytes,
        size_bytes_total=100,
        started_us=0,
    )


class FakeSource:
    """What the target has, for the first attempt and those after it: a store, nothing, or an error."""

    def __init__(self, directory: Path, *found: FakeStore | Exception | None) -> None:
        self.directory = directory
        self.found = list(found)
        self.asked: list[History] = []
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.cancelled = False
        self.tell: Callable[[BootstrapProgress], None] | None = None

    async def restore(
        self, primary: History, on_progress: Callable[[BootstrapProgress], None], /
    ) -> Path | None:
        self.asked.append(primary)
        self.tell = on_progress
        found = self.found.pop(0) if len(self.found) > 1 else self.found[0]
        if isinstance(found, Exception):
            raise found
        on_progress(progress(50))
        try:
            await self.goes_on.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if found is None:
            return None
        found.create_base_copy(self.directory)
        return self.directory


def stores(through: int, forgotten: int = 0) -> tuple[FakeStore, FakeStore, list[Frame]]:
    """A primary at 60 whose log begins after `forgotten`, and what a backup of it at `through` holds."""
    store, behind = FakeStore(), FakeStore()
    for number in range(60):
        store.write(b"value %d" % number)
    frames = list(store.frames)
    behind.apply_frames(b"".join(frame.data for frame in frames[:through]))
    if forgotten:
        store.forget_log_before(forgotten)
    return store, behind, frames


async def test_the_log_goes_on_from_the_backup_and_no_copy_is_made(tmp_path: Path) -> None:
    """The primary says which database is wanted, hears nothing while it is restored, and sends log only."""
    store, behind, _ = stores(through=20)
    primary, data = Primary(store, tmp_path / "p"), FakeData()
    source = FakeSource(tmp_path / "ready", behind)
    source.goes_on.clear()
    replica = Replica(primary, data, tmp_path / "r", restore=RestoreFirst(source, Env().clock))
    async with running(replica, primary):
        await until(lambda: replica.follower.restoring is not None and replica.follower.progress is not None)
        assert replica.follower.link.state == "restoring"
        assert replica.follower.link.state.changes_data
        await until(lambda: not primary.node.sessions)
        source.goes_on.set()
        await until(lambda: data.store and data.store.position == store.position)
        assert source.asked == [History(store.database_id, store.position, ())]
        assert len(data.installed) == 1
        assert primary.node.traffic.full_copies.total() == 0
        assert replica.follower.progress is None


async def test_a_copy_is_fetched_when_no_backup_fits(tmp_path: Path) -> None:
    """The target is asked once: its answer was that the primary's copy is needed."""
    store, _, _ = stores(through=20)
    primary, data = Primary(store, tmp_path / "p"), FakeData()
    source = FakeSource(tmp_path / "ready", None)
    replica = Replica(primary, data, tmp_path / "r", restore=RestoreFirst(source, Env().clock))
    async with running(replica, primary):
        await until(lambda: data.store and data.store.position == store.position)
        assert len(source.asked) == 1
        assert primary.node.traffic.full_copies == {"empty-replica": 1}


async def test_a_gap_after_the_archive_is_said_and_a_copy_follows(tmp_path: Path) -> None:
    """The primary's log begins after the end of what was restored: a copy replaces that."""
    store, behind, _ = stores(through=20, forgotten=40)
    primary, data = Primary(store, tmp_path / "p"), FakeData()
    restore = RestoreFirst(FakeSource(tmp_path / "ready", behind), Env().clock)
    replica = Replica(primary, data, tmp_path / "r", restore=restore)
    async with running(replica, primary):
        await until(lambda: data.store and data.store.position == store.position)
        assert restore.gap is not None and "the primary's log begins at 40" in restore.gap
        assert len(data.installed) == 2
        assert primary.node.traffic.full_copies == {"log-gone": 1}


async def test_a_refused_backup_stops_the_link_until_there_is_a_better_one(tmp_path: Path) -> None:
    """Nothing is fetched from the primary meanwhile, and nothing has to be restarted."""
    store, behind, _ = stores(through=20)
    primary, data = Primary(store, tmp_path / "p"), FakeData()
    refused = BackupRefusedError("damaged-backup", "000007.sst is damaged")
    source = FakeSource(tmp_path / "ready", refused, refused, behind)
    replica = Replica(primary, data, tmp_path / "r", restore=RestoreFirst(source, Env().clock))
    async with running(replica, primary):
        await until(lambda: replica.follower.link.state == "stopped")
        assert replica.follower.link.stopped_code == "damaged-backup"
        assert "000007.sst" in str(replica.follower.link.last_error)
        assert data.installed == []
        await until(lambda: data.store and data.store.position == store.position)
        assert replica.follower.link.stopped_code is None
        assert len(source.asked) == 3
        assert primary.node.traffic.full_copies.total() == 0


@pytest.mark.parametrize("error", [ConnectionError("the target is away"), OSError(28, "no room")])
async def test_what_time_mends_is_tried_again(tmp_path: Path, error: OSError) -> None:
    """A target that is away and a full disk are no reason to take a copy from the primary."""
    store, behind, _ = stores(through=20)
    primary, data = Primary(store, tmp_path / "p"), FakeData()
    source = FakeSource(tmp_path / "ready", error, error, behind)
    replica = Replica(primary, data, tmp_path / "r", restore=RestoreFirst(source, Env().clock))
    async with running(replica, primary):
        await until(lambda: data.store and data.store.position == store.position)
        assert "stopped" not in replica.states
        assert primary.node.traffic.full_copies.total() == 0


async def test_a_replica_that_ends_ends_its_restore_first(tmp_path: Path) -> None:
    """Nothing writes into the directory after its node let go of it."""
    store, behind, _ = stores(through=20)
    primary, data = Primary(store, tmp_path / "p"), FakeData()
    source = FakeSource(tmp_path / "ready", behind)
    source.goes_on.clear()
    replica = Replica(primary, data, tmp_path / "r", restore=RestoreFirst(source, Env().clock))
    async with running(primary):
        await until(lambda: replica.follower.progress is not None)
        await replica.end()
        assert source.cancelled
        assert data.installed == []


async def test_what_a_restore_tells_too_late_is_ignored(tmp_path: Path) -> None:
    """Its threads may tell something when the link is down already."""
    store, behind, _ = stores(through=20)
    primary, data = Primary(store, tmp_path / "p"), FakeData()
    source = FakeSource(tmp_path / "ready", behind)
    source.goes_on.clear()
    replica = Replica(primary, data, tmp_path / "r", restore=RestoreFirst(source, Env().clock))
    async with running(primary):
        await until(lambda: replica.follower.progress is not None)
        await replica.end()
        replica.follower.ended()
        assert source.tell is not None
        source.tell(progress(60))
        assert replica.follower.link.state == "down"
        assert replica.follower.progress is not None and replica.follower.progress.size_bytes == 50


async def test_data_that_is_there_needs_no_backup(tmp_path: Path) -> None:
    """It is followed from where it is."""
    store, behind, _ = stores(through=20)
    primary, data = Primary(store, tmp_path / "p"), FakeData(behind)
    source = FakeSource(tmp_path / "ready", behind)
    replica = Replica(primary, data, tmp_path / "r", restore=RestoreFirst(source, Env().clock))
    async with running(replica, primary):
        await until(lambda: data.store and data.store.position == store.position)
        assert source.asked == []
