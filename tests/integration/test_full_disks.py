"""Nodes whose disk fills up: writes are refused, reads go on, and all resumes when there is room."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests.integration.test_roles import QUICK
from tests.support.nodes.daemons import Cluster, Daemon, follows
from tests.support.nodes.load import fill
from tests.support.waiting import eventually

pytestmark = pytest.mark.long

STORE = {"log_retention_bytes": 0, "log_disk_floor_bytes": 0}


def on(directory: Path, node: Daemon, **store: int) -> Daemon:
    node.data = directory / "node"
    node.keys["data"] = str(node.data)
    node.configure({**QUICK, "store": {**STORE, **store}})
    return node.start()


def fill_up(directory: Path, leave_bytes: int) -> Path:
    """Leaves so much room; the file to remove again."""
    filler = directory / "filler"
    with open(filler, "wb") as file:
        file.write(b"\0" * (shutil.disk_usage(directory).free - leave_bytes))
    return filler


def write_until_refused(primary: Daemon) -> tuple[int, str]:
    """How many writes were acknowledged, and the refusal."""
    with primary.client() as client:
        for number in range(10_000):
            try:
                client.set(f"large:{number}", b"%d" % number * 4000)
            except redis.ResponseError as error:
                return number, str(error)
    raise AssertionError("no write was refused")


def refuses_and_resumes(
    primary: Daemon, replica: Daemon, filler: Path, before_there_is_room: Callable[[], None] = lambda: None
) -> None:
    written, refusal = write_until_refused(primary)
    assert "no room on disk" in refusal
    with primary.client() as writer, primary.client() as reader:
        # On the same connection as the refusals, and on another, in answer to every one.
        for number in range(20):
            pipeline = writer.pipeline(transaction=False)
            pipeline.set("refused", number)
            pipeline.get("key:1")
            refused, read = pipeline.execute(raise_on_error=False)
            if isinstance(refused, redis.ResponseError):
                assert "no room on disk" in str(refused)
            assert read is not None
            assert reader.get("key:1") is not None
        assert reader.get(f"large:{written - 1}") == b"%d" % (written - 1) * 4000
        before_there_is_room()
        filler.unlink()

        def resumes() -> bool:
            try:
                return bool(writer.set("resumed", 1))
            except redis.ResponseError:
                return False

        eventually(resumes)
        for number in range(written):
            assert reader.get(f"large:{number}") == b"%d" % number * 4000
    follows(replica, primary, 60)


def test_a_primary_without_room_for_its_log(cluster: Cluster, small_disk: Path) -> None:
    """A write that the log has no room for is refused at once; what was acknowledged stays."""
    primary = on(small_disk, cluster.primary(), disk_reserve_bytes=0, memtable_bytes=8_000_000)
    replica = cluster.replica(tables=QUICK).start()
    fill(primary, 10)
    follows(replica, primary)
    refuses_and_resumes(primary, replica, fill_up(small_disk, 400_000))


def test_a_refused_write_shows_until_there_is_room(cluster: Cluster, small_disk: Path) -> None:
    """Where the store itself knows of nothing: a balancer sends no writes there, and comes back by itself."""
    primary = on(small_disk, cluster.primary(), disk_reserve_bytes=0)
    fill(primary, 10)
    filler = fill_up(small_disk, 300_000)
    with pytest.raises(redis.ResponseError, match="no room on disk"):
        primary.ask("SET", "large", "x" * 2_000_000)
    assert "the disk is full" in primary.status()["store"]["refused"]
    filler.unlink()
    eventually(lambda: primary.status()["store"]["refused"] is None)


def test_a_primary_without_room_for_its_tables(cluster: Cluster, small_disk: Path) -> None:
    """Writes that would wait for a flush that finds no room are refused; nobody's socket is left unread."""
    primary = on(small_disk, cluster.primary(), disk_reserve_bytes=0, memtable_bytes=300_000)
    replica = cluster.replica(tables=QUICK).start()
    fill(primary, 10)
    follows(replica, primary)
    refuses_and_resumes(primary, replica, fill_up(small_disk, 900_000))


def test_a_primary_that_reaches_its_reserve(cluster: Cluster, small_disk: Path) -> None:
    """Below the reserve writes are refused before anything fails; the log says so once, and what to do."""
    primary = on(small_disk, cluster.primary(), disk_reserve_bytes=2_000_000)
    replica = cluster.replica(tables=QUICK).start()
    fill(primary, 10)
    follows(replica, primary)

    def is_said() -> None:
        eventually(lambda: primary.events("store.no_room"))

    refuses_and_resumes(primary, replica, fill_up(small_disk, 2_500_000), is_said)
    eventually(lambda: primary.events("store.has_room"))
    (said,) = primary.events("store.no_room")
    assert "disk_reserve_bytes" in said["reason"] and "free some" in said["remedy"]
    assert not primary.events("state.not_saved")


def test_a_primary_that_is_killed_starts_without_a_byte_of_room(cluster: Cluster, small_disk: Path) -> None:
    """It serves all that it acknowledged, refuses writes, and takes them again when there is room."""
    primary = on(small_disk, cluster.primary(), disk_reserve_bytes=0, memtable_bytes=300_000)
    fill(primary, 10)
    filler = fill_up(small_disk, 900_000)
    written, _ = write_until_refused(primary)
    primary.kill()
    while (free := shutil.disk_usage(small_disk).free) > 0:
        with open(filler, "ab") as file:
            file.write(b"\0" * free)
    primary.start()
    with primary.client() as client:
        for number in range(written):
            assert client.get(f"large:{number}") == b"%d" % number * 4000
        with pytest.raises(redis.ResponseError, match="no room on disk"):
            client.set("refused", 1)
        filler.unlink()

        def resumes() -> bool:
            with contextlib.suppress(redis.ResponseError):
                return bool(client.set("resumed", 1))
            return False

        eventually(resumes)
        assert client.get(f"large:{written - 1}") is not None
