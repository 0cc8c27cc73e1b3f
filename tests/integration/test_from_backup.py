"""Replicas that start from a backup: what they get from the target, and what from their primary."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest
import redis

from replicad.cli.health.finding import Thresholds
from replicad.cli.health.judge import find_all
from replicad.cli.health.runbook import Runbook
from replicad.cli.main import main
from replicad.cli.nodes.ask import NodeAnswer
from tests.integration.test_backup import archived, command_line, write
from tests.support.nodes.daemons import Cluster, Daemon, Tables, follows
from tests.support.nodes.load import fill
from tests.support.waiting import eventually

SLOW: Tables = {"backup": {"read_bytes_per_second": 60_000, "max_background_operations": 1}}
"""A restore that takes seconds, so that something can happen in the middle of it."""


def archiving(target: Path | str) -> Tables:
    return {"backup": {"target": str(target), "archive_log": True, "archive_seconds": 0.05}}


def archiving_primary(cluster: Cluster, target: Path | str) -> Daemon:
    """A primary that has backed up its first half, and archived the log of the second."""
    primary = cluster.primary(tables=archiving(target)).start()
    write(primary, 0, 500)
    command_line("backup", "create", "--node", f":{primary.port}", "--flush")
    write(primary, 500, 500)
    eventually(lambda: archived(primary), 60)
    return primary


def large_primary(cluster: Cluster, target: Path) -> Daemon:
    """The same with some hundred kilobytes that do not compress, in several tables."""
    primary = cluster.primary(tables=archiving(target)).start()
    source = random.Random(1)
    with primary.client() as client:
        for number in range(40):
            client.set(f"large:{number}", source.randbytes(10_000))
    command_line("backup", "create", "--node", f":{primary.port}", "--flush")
    write(primary, 0, 500)
    eventually(lambda: archived(primary), 60)
    return primary


def from_backup(cluster: Cluster, target: Path | str, tables: Tables | None = None) -> Daemon:
    replica = cluster.replica()
    replica.keys["from_backup"] = str(target)
    replica.configure(tables or {})
    return replica


def no_copy_was_shipped(primary: Daemon) -> bool:
    return primary.events("bootstrap.serving") == []


def has_database(replica: Daemon) -> bool:
    return (replica.data / "CURRENT").exists()


def link(replica: Daemon) -> dict[str, Any]:
    try:
        found: dict[str, Any] = replica.status()["link"]
        return found
    except redis.RedisError:
        return {}


def restored_bytes(replica: Daemon) -> int:
    try:
        progress = replica.status()["bootstrap"]
    except redis.RedisError:
        return 0
    return 0 if progress is None or link(replica)["state"] != "restoring" else int(progress["size_bytes"])


def rot(table: Path) -> None:
    data = bytearray(table.read_bytes())
    data[len(data) // 2] ^= 1
    table.write_bytes(data)


def largest(directory: Path) -> Path:
    return max(directory.iterdir(), key=lambda path: path.stat().st_size)


def test_a_replica_starts_from_a_backup_and_the_log_after_it(cluster: Cluster, tmp_path: Path) -> None:
    """The backup, the archived log and the primary's log make up its data, and no copy is shipped."""
    target = tmp_path / "target"
    primary = archiving_primary(cluster, target)
    replica = from_backup(cluster, target).start()
    write(primary, 1000, 500)
    follows(replica, primary)
    assert main(["verify", f":{primary.port}", f":{replica.port}"]) == 0
    assert no_copy_was_shipped(primary)
    shown, there = replica.status(), primary.status()
    assert shown["last_bootstrap"] is None
    assert shown["last_restore"]["gap"] is None
    assert shown["last_restore"]["position"].split(":")[1] == "1000"

    # A true replica: the database's id and epoch, and nothing else that is the primary's own.
    assert (shown["database_id"], shown["epoch"]) == (there["database_id"], there["epoch"])
    assert shown["node_id"] != there["node_id"]
    assert shown["replicas"] == []
    assert not (replica.data / "restore").exists()


def test_with_data_the_option_does_nothing(cluster: Cluster, tmp_path: Path) -> None:
    """A restart goes on from its own data, also when the target is gone, and says so."""
    target = tmp_path / "target"
    primary = archiving_primary(cluster, target)
    replica = from_backup(cluster, target).start()
    follows(replica, primary)
    assert replica.terminate() == 0
    replica.keys["from_backup"] = str(tmp_path / "gone")
    replica.configure({})
    write(primary, 1000, 10)
    replica.start()
    follows(replica, primary)
    assert replica.logged("restore.not_needed")[0]["target"] == str(tmp_path / "gone")
    assert len(replica.events("restore.begins")) == 1
    assert no_copy_was_shipped(primary)


def test_flag_and_variable_say_the_same_as_the_file(cluster: Cluster, tmp_path: Path) -> None:
    target = tmp_path / "target"
    primary = archiving_primary(cluster, target)
    replica = cluster.replica()
    replica.environment["REPLICAD_FROM_BACKUP"] = str(target)
    follows(replica.start(), primary)
    assert replica.status()["last_restore"]["target"] == str(target)
    assert no_copy_was_shipped(primary)


@pytest.mark.long
def test_kill_9_in_the_middle_never_leaves_what_looks_complete(cluster: Cluster, tmp_path: Path) -> None:
    """Killed at random points it has no database, goes on with what was verified, and ends as a replica."""
    target = tmp_path / "target"
    primary = large_primary(cluster, target)
    seed = int(os.environ.get("RESTORE_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"RESTORE_SEED={seed}")
    source = random.Random(seed)
    replica = from_backup(cluster, target, SLOW)
    for part in sorted(source.uniform(0.05, 0.9) for _ in range(3)):
        replica.spawn()
        eventually(lambda part=part: restored_bytes(replica) > part * 400_000, 60)  # type: ignore[misc]
        replica.kill()
        assert not has_database(replica)
    replica.configure({})
    replica.start()
    follows(replica, primary)
    last = replica.status()["last_restore"]
    assert last["fetched_bytes"] < last["size_bytes"], "it went on with what was here"
    assert no_copy_was_shipped(primary)
    assert not (replica.data / "restore").exists()


@pytest.mark.long
def test_a_restore_is_told_to_stop(cluster: Cluster, tmp_path: Path) -> None:
    """SIGTERM ends it at once and without an error; the next start goes on."""
    target = tmp_path / "target"
    primary = large_primary(cluster, target)
    replica = from_backup(cluster, target, SLOW)
    replica.spawn()
    eventually(lambda: restored_bytes(replica) > 50_000, 60)
    assert replica.terminate() == 0
    assert replica.logged("restore.stopped")
    assert not has_database(replica)
    replica.configure({})
    replica.start()
    follows(replica, primary)
    assert no_copy_was_shipped(primary)


@pytest.mark.long
def test_status_shows_how_far_it_is(cluster: Cluster, tmp_path: Path) -> None:
    target = tmp_path / "target"
    large_primary(cluster, target)
    replica = from_backup(cluster, target, SLOW)
    replica.spawn()
    eventually(lambda: restored_bytes(replica) > 0, 60)
    document = replica.status()
    assert document["bootstrap"]["size_bytes_total"] >= 400_000
    (finding,) = find_all([NodeAnswer(name="R", document=document)], Thresholds())
    assert finding.what.startswith("restores a backup: ")


def test_a_backup_of_another_database_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    """Both ids are named, nothing is installed, and the primary ships nothing."""
    target = tmp_path / "target"
    other = archiving_primary(cluster, target)
    other_id = other.status()["database_id"]
    primary = cluster.primary("second").start()
    write(primary, 0, 10)
    replica = from_backup(cluster, target)
    replica.spawn()
    eventually(lambda: link(replica).get("stopped_code") == "wrong-backup")
    said = link(replica)["last_error"]
    assert other_id in said and primary.status()["database_id"] in said
    assert not has_database(replica)
    assert no_copy_was_shipped(primary)


def test_a_damaged_backup_is_refused_by_name_until_it_is_mended(cluster: Cluster, tmp_path: Path) -> None:
    """Status names the file and the page; a backup that is whole is taken without a restart."""
    target = tmp_path / "target"
    primary = archiving_primary(cluster, target)
    table = largest(target / "shared_checksum")
    whole = table.read_bytes()
    rot(table)
    replica = from_backup(cluster, target)
    replica.spawn()
    eventually(lambda: link(replica).get("stopped_code") == "damaged-backup")
    document = replica.status()
    assert table.name in document["link"]["last_error"]
    (finding,) = find_all([NodeAnswer(name="R", document=document)], Thresholds())
    assert finding.page is Runbook.DAMAGED_BACKUP
    assert not has_database(replica)
    table.write_bytes(whole)
    eventually(replica.serves)
    follows(replica, primary)
    assert no_copy_was_shipped(primary)


def test_a_target_without_a_backup_is_no_reason_for_a_copy(cluster: Cluster, tmp_path: Path) -> None:
    """It may be a disk that is not mounted: the replica waits until there is a backup."""
    target = tmp_path / "target"
    primary = cluster.primary().start()
    write(primary, 0, 10)
    replica = from_backup(cluster, target)
    replica.spawn()
    eventually(lambda: link(replica).get("stopped_code") == "no-backup")
    command_line("backup", "create", "--node", f":{primary.port}", target)
    eventually(replica.serves)
    follows(replica, primary)
    assert no_copy_was_shipped(primary)


def test_a_gap_between_the_archive_and_the_primary_s_log(cluster: Cluster, tmp_path: Path) -> None:
    """It is said, and a copy takes the place of what was restored."""
    target = tmp_path / "target"
    forgetful: Tables = {"store": {"log_retention_bytes": 0}}
    primary = cluster.primary(tables=forgetful).start()
    write(primary, 0, 500)
    command_line("backup", "create", "--node", f":{primary.port}", target)
    fill(primary, 3000)
    eventually(lambda: primary.status()["log"]["first_sequence"] > 501)
    replica = from_backup(cluster, target).start()
    eventually(lambda: replica.events("restore.gap") != [])
    eventually(lambda: replica.events("bootstrap.finished") != [])
    follows(replica, primary)
    assert "the primary's log begins at" in replica.logged("restore.gap")[0]["reason"]
    assert "the primary's log begins at" in replica.status()["last_restore"]["gap"]


def test_a_backup_of_an_abandoned_timeline_is_passed_over(cluster: Cluster, tmp_path: Path) -> None:
    """The newest backup that the primary's history goes on from is taken, though a later one is there."""
    target = tmp_path / "target"
    primary = cluster.primary().start()
    write(primary, 0, 100)
    replica = cluster.replica("promoted").start()
    follows(replica, primary)
    command_line("backup", "create", "--node", f":{primary.port}", target)
    replica.stop()
    write(primary, 100, 100)
    command_line("backup", "create", "--node", f":{primary.port}", target)
    primary.kill()
    replica.kill()
    replica.start()
    assert main(["promote", f":{replica.port}", "--force"]) == 0
    write(replica, 300, 5)
    cluster.replication_port = int(replica.status()["replication"].rpartition(":")[2])
    third = from_backup(cluster, target).start()
    follows(third, replica)
    assert third.logged("restore.passed_over")[0]["backup"] == 2
    assert third.status()["last_restore"]["backup"] == 1


@pytest.mark.long
def test_a_full_disk_is_said_and_tried_again(cluster: Cluster, tmp_path: Path, small_disk: Path) -> None:
    """As in a bootstrap: the link waits with the reason, and goes on by itself when there is room."""
    target = tmp_path / "target"
    primary = archiving_primary(cluster, target)
    replica = from_backup(cluster, target)
    replica.data = small_disk / "node"
    replica.keys["data"] = str(replica.data)
    replica.configure({})
    replica.spawn()
    eventually(lambda: "in reserve" in str(link(replica).get("last_error")))
    assert not has_database(replica)
    subprocess.run(["mount", "-o", "remount,size=400m", str(small_disk)], check=True)
    eventually(replica.serves)
    follows(replica, primary)
    assert no_copy_was_shipped(primary)


def test_later_the_archive_of_the_same_target_saves_a_copy(cluster: Cluster, tmp_path: Path) -> None:
    """A replica whose log is gone reads archived log where it began, without another key."""
    target = tmp_path / "target"
    tables: Tables = {
        "store": {"log_retention_bytes": 0},
        "link": {"slot_log_bytes_max": 50_000},
        **archiving(target),
    }
    primary = cluster.primary(tables=tables).start()
    write(primary, 0, 100)
    command_line("backup", "create", "--node", f":{primary.port}")
    replica = from_backup(cluster, target).start()
    follows(replica, primary)
    replica.kill()
    fill(primary, 2000)
    eventually(lambda: archived(primary), 60)

    # Without its archiver, which also holds log, the primary lets all of it go.
    assert primary.terminate() == 0
    primary.configure({name: table for name, table in tables.items() if name != "backup"})
    primary.start()
    eventually(lambda: primary.status()["log"]["first_sequence"] > 101)
    fill(primary, 10)
    replica.start()
    follows(replica, primary)
    assert replica.logged("archive.applied")
    assert replica.events("bootstrap.finished") == []
