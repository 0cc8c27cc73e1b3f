"""Backups and the archived log of running nodes."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import redis

import replicad
from replicad.cli.main import main
from tests.support.nodes.daemons import Cluster, Daemon, follows
from tests.support.waiting import eventually


def command_line(*arguments: object) -> dict[str, Any]:
    """The JSON that a verb prints; fails when it fails."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main([str(argument) for argument in (*arguments, "--json")]) == 0
    document: dict[str, Any] = json.loads(out.getvalue())
    return document


def content(directory: Path) -> dict[bytes, bytes]:
    with replicad.open(directory, read_only=True) as database:
        return dict(database.scan())


def write(daemon: Daemon, start: int, count: int) -> None:
    with daemon.client() as client:
        pipeline = client.pipeline(transaction=False)
        for number in range(start, start + count):
            pipeline.set(f"k:{number}", b"v%d" % number * 20)
        pipeline.execute()


def archived(daemon: Daemon) -> bool:
    """Whether the target has all that is durable."""
    status = daemon.status()
    log = status["log_archive"]
    return bool(
        log["state"] == "archiving"
        and log.get("position") == status["durable_position"] == status["position"]
    )


def test_primary_and_replica_make_backups(cluster: Cluster, primary: Daemon, tmp_path: Path) -> None:
    """Both nodes back up to one target; each backup restores to its node's state; tables may be shared."""
    replica = cluster.replica().start()
    target = tmp_path / "target"
    write(primary, 0, 2000)
    follows(replica, primary)
    made = [
        command_line(
            "backup", "create", "--node", f":{node.port}", target, "--flush", "--metadata", node.role
        )
        for node in (primary, replica)
    ]
    assert made[0]["position"] == made[1]["position"] == primary.status()["position"]
    document = primary.status()["backup"]
    assert document.pop("age_seconds") >= 0
    assert document == {"making": None, "last": made[0]}
    listed = command_line("backup", "list", target)["backups"]
    assert [backup["metadata"] for backup in listed] == ["primary", "replica"]
    for backup in listed:
        command_line("backup", "restore", target, tmp_path / "restored", "--id", backup["id"])
        restored = content(tmp_path / "restored")
        assert len(restored) == 2000
        assert restored[b"k:7"] == b"v7" * 20
    assert command_line("backup", "verify", target, "--all", "--checksums")["ok"]


def test_a_replica_starts_on_a_restored_directory(cluster: Cluster, primary: Daemon, tmp_path: Path) -> None:
    """It follows its primary from exactly the backup's position, without a bootstrap."""
    write(primary, 0, 500)
    command_line("backup", "create", "--node", f":{primary.port}", tmp_path / "target")
    write(primary, 500, 500)
    replica = cluster.replica()
    command_line("backup", "restore", tmp_path / "target", replica.data)
    replica.start()
    follows(replica, primary)
    assert replica.status()["last_bootstrap"] is None


def test_a_backup_while_clients_write(cluster: Cluster, primary: Daemon, tmp_path: Path) -> None:
    """What is restored is one prefix of the writes, exactly as long as its position says."""
    ending = threading.Event()

    def keep_writing() -> None:
        start = 0
        while not ending.is_set():
            write(primary, start, 50)
            start += 50

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        made = [
            command_line("backup", "create", "--node", f":{primary.port}", tmp_path / "target")
            for _ in range(3)
        ]
    finally:
        ending.set()
        writer.join()
    for backup in made:
        command_line("backup", "restore", tmp_path / "target", tmp_path / "restored", "--id", backup["id"])
        count = int(backup["position"].split(":")[1])
        assert set(content(tmp_path / "restored")) == {b"k:%d" % number for number in range(count)}


def test_the_node_s_own_target(cluster: Cluster, tmp_path: Path) -> None:
    """Without a target the configured one is used, and so many backups are kept there."""
    primary = cluster.primary()
    primary.configure({"backup": {"target": str(tmp_path / "target"), "keep": 2}})
    primary.start()
    for round in range(4):
        write(primary, round * 10, 10)
        made = command_line("backup", "create", "--node", f":{primary.port}")
    assert made["purged"] == [2]
    assert [b["id"] for b in command_line("backup", "list", tmp_path / "target")["backups"]] == [3, 4]


def test_only_one_at_a_time_and_it_can_be_stopped(cluster: Cluster, tmp_path: Path) -> None:
    """A second is refused while one is being made; status shows how far it is; STOP ends it."""
    primary = cluster.primary()
    primary.configure({"backup": {"write_bytes_per_second": 10_000}})
    primary.start()
    write(primary, 0, 5000)
    with primary.client() as client:
        client.execute_command("REPLICAD.FAMILY", "LIST")
    failures: list[str] = []

    def create() -> None:
        try:
            primary.ask("REPLICAD.BACKUP", "CREATE", "TARGET", str(tmp_path / "target"), "FLUSH")
        except redis.ResponseError as error:
            failures.append(str(error))

    first = threading.Thread(target=create)
    first.start()
    eventually(lambda: primary.status()["backup"]["making"] is not None)
    with pytest.raises(redis.ResponseError, match="is being made"):
        primary.ask("REPLICAD.BACKUP", "CREATE", "TARGET", str(tmp_path / "target"))
    assert primary.ask("REPLICAD.BACKUP", "STOP") == 1
    first.join()
    assert "stopped" in failures[0]
    assert "stopped" in primary.status()["backup"]["last"]["error"]
    assert command_line("backup", "list", tmp_path / "target")["backups"] == []
    assert primary.terminate() == 0


def test_the_log_is_archived_and_restored_to_any_point(cluster: Cluster, tmp_path: Path) -> None:
    """Through kills and restarts the archive has no gap, and any sequence number can be restored."""
    target = tmp_path / "target"
    primary = cluster.primary()
    primary.configure({"backup": {"target": str(target), "archive_log": True, "archive_seconds": 0.05}})
    primary.start()
    command_line("backup", "create", "--node", f":{primary.port}")
    for round in range(4):
        write(primary, round * 500, 500)
        if round % 2:
            eventually(lambda: archived(primary))
        primary.kill()
        primary.start()
    eventually(lambda: archived(primary))
    assert command_line("backup", "verify", target, "--checksums")["log"][0]["ok"]
    for sequence in (1, 777, 2000):
        command_line("backup", "restore", target, tmp_path / "restored", "--sequence", sequence)
        assert set(content(tmp_path / "restored")) == {b"k:%d" % number for number in range(sequence)}


@pytest.mark.long
def test_an_idle_node_is_restored_to_now(cluster: Cluster, tmp_path: Path) -> None:
    """The archive says until when nothing was committed, and a restore to just now waits for that."""
    target = tmp_path / "target"
    primary = cluster.primary()
    primary.configure({"backup": {"target": str(target), "archive_log": True, "archive_seconds": 0.05}})
    primary.start()
    eventually(lambda: primary.status()["log_archive"].get("restorable"))
    write(primary, 0, 20)
    eventually(lambda: archived(primary))
    command_line("backup", "restore", target, tmp_path / "new", "--time", "now")
    assert set(content(tmp_path / "new")) == {b"k:%d" % number for number in range(20)}
    primary.kill()


def test_a_restored_node_can_be_restored_again(cluster: Cluster, tmp_path: Path) -> None:
    """What is archived has a backup to start from, also of a database that begins with a restore."""
    target = tmp_path / "target"
    primary = cluster.primary()
    primary.configure({"backup": {"target": str(target), "archive_log": True, "archive_seconds": 0.05}})
    primary.start()
    eventually(lambda: primary.status()["log_archive"].get("restorable"))
    write(primary, 0, 20)
    eventually(lambda: archived(primary))
    primary.kill()
    command_line("backup", "restore", target, primary.data, "--sequence", 11)
    primary.start()
    write(primary, 20, 20)
    eventually(lambda: archived(primary))
    eventually(lambda: primary.status()["log_archive"]["restorable"])
    status = primary.status()
    primary.kill()
    assert all(check["ok"] for check in command_line("backup", "verify", target, "--checksums")["log"])
    goal, database = status["log_archive"]["position"].split(":")[1], status["database_id"]
    command_line("backup", "restore", target, tmp_path / "new", "--sequence", goal, "--database", database)
    assert set(content(tmp_path / "new")) == {b"k:%d" % number for number in (*range(11), *range(20, 40))}


def test_a_target_that_is_away(cluster: Cluster, tmp_path: Path) -> None:
    """Status says since when and why, writes go on, and nothing is missing when the target is back."""
    target = tmp_path / "target"
    primary = cluster.primary()
    primary.configure({"backup": {"target": str(target), "archive_log": True, "archive_seconds": 0.05}})
    primary.start()
    write(primary, 0, 100)
    eventually(lambda: archived(primary))
    command_line("backup", "create", "--node", f":{primary.port}")
    shutil.move(target, tmp_path / "away")
    target.write_text("not a directory")
    write(primary, 100, 100)
    eventually(lambda: primary.status()["log_archive"]["state"] == "failing")
    shown = primary.status()["log_archive"]
    assert shown["last_error"]
    assert shown["lag_sequences"] > 0
    write(primary, 200, 100)
    target.unlink()
    shutil.move(tmp_path / "away", target)
    eventually(lambda: archived(primary))
    assert command_line("backup", "verify", target, "--checksums")["log"][0]["ok"]
    command_line("backup", "restore", target, tmp_path / "restored", "--sequence", 299)
    assert len(content(tmp_path / "restored")) == 299


def test_a_replicas_archive_goes_on_through_bootstraps_and_restarts(
    cluster: Cluster, primary: Daemon, tmp_path: Path
) -> None:
    """A replica's archive continues through its bootstraps and restarts."""
    target = tmp_path / "target"
    replica = cluster.replica()
    replica.configure({"backup": {"target": str(target), "archive_log": True, "archive_seconds": 0.05}})
    replica.start()
    write(primary, 0, 300)
    follows(replica, primary)
    eventually(lambda: archived(replica))
    command_line("backup", "create", "--node", f":{replica.port}")
    write(primary, 300, 300)
    replica.kill()
    replica.start()
    follows(replica, primary)
    eventually(lambda: archived(replica))
    assert command_line("backup", "verify", target, "--checksums")["log"][0]["ok"]
    command_line("backup", "restore", target, tmp_path / "restored", "--sequence", 450)
    assert len(content(tmp_path / "restored")) == 450


def test_over_the_replication_port(cluster: Cluster, primary: Daemon, tmp_path: Path) -> None:
    """A primary's files stream to a target of this machine; no slot and no copy stays behind there."""
    target = tmp_path / "target"
    write(primary, 0, 3000)
    address = f":{cluster.replication_port}"
    first = command_line("backup", "create", "--from", address, target)
    assert first["position"] == primary.status()["position"]
    write(primary, 3000, 100)
    later = []

    def shares_tables() -> bool:
        later.append(command_line("backup", "create", "--from", address, target, "--workers", 8))
        return bool(later[-1]["copied_bytes"] < later[-1]["size_bytes"])

    eventually(shares_tables)  # not with a compaction that has just written everything anew
    for backup, count in ((first, 3000), (later[-1], 3100)):
        command_line("backup", "restore", target, tmp_path / "restored", "--id", backup["id"])
        assert len(content(tmp_path / "restored")) == count
    assert command_line("backup", "verify", target, "--all", "--checksums")["ok"]
    eventually(lambda: primary.status()["replicas"] == [])
    eventually(lambda: not list((primary.data / "bootstrap").iterdir()))
    replica = cluster.replica()
    command_line("backup", "restore", target, replica.data)
    follows(replica.start(), primary)
    assert replica.status()["last_bootstrap"] is None


def test_a_remote_backup_that_is_killed(cluster: Cluster, primary: Daemon, tmp_path: Path) -> None:
    """Whoever copies dies in the middle: the primary lets go of everything, and the next one is whole."""
    write(primary, 0, 5000)
    target = tmp_path / "target"
    command = [sys.executable, "-m", "replicad", "backup", "create", "--from", f":{cluster.replication_port}"]
    process = subprocess.Popen([*command, str(target), "--rate", "50K"], stdout=subprocess.DEVNULL)
    try:
        eventually(lambda: any(replica["state"] == "copying" for replica in primary.status()["replicas"]))
        eventually(lambda: (target / "tmp").exists())
    finally:
        process.kill()
        process.wait()
    eventually(lambda: primary.status()["replicas"] == [])
    eventually(lambda: not list((primary.data / "bootstrap").iterdir()))
    command_line("backup", "create", "--from", f":{cluster.replication_port}", target)
    assert command_line("backup", "verify", target, "--all", "--checksums")["ok"]
    assert main(["backup", "create", "--from", ":1", str(target)]) == 3
