"""Replicas that start from a backup: what they get from the target, and what from their primary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.integration.test_backup import archived, command_line, write
from tests.support.nodes.daemons import Cluster, Daemon, follows
from tests.support.waiting import eventually


def archiving(target: Path | str, **more: Any) -> dict[str, Any]:
    return {"backup": {"target": str(target), "archive_log": True, "archive_seconds": 0.05, **more}}


def archiving_primary(cluster: Cluster, target: Path | str) -> Daemon:
    """A primary whose backup, archived log and live log hold a third of its data each."""
    primary = cluster.primary(tables=archiving(target)).start()
    write(primary, 0, 500)
    command_line("backup", "create", "--node", f":{primary.port}")
    write(primary, 500, 500)
    eventually(lambda: archived(primary), 60)
    return primary


def from_backup(cluster: Cluster, target: Path | str, name: str = "replica") -> Daemon:
    replica = cluster.replica(name)
    replica.keys["from_backup"] = str(target)
    replica.configure({})
    return replica


def shipped_copies(primary: Daemon) -> int:
    return len(primary.events("bootstrap.serving"))


def test_a_replica_starts_from_a_backup_and_the_log_after_it(cluster: Cluster, tmp_path: Path) -> None:
    """The backup, the archived log and the primary's log make up its data, and no copy is shipped."""
    target = tmp_path / "target"
    primary = archiving_primary(cluster, target)
    replica = from_backup(cluster, target).start()
    write(primary, 1000, 500)
    follows(replica, primary)
    assert shipped_copies(primary) == 0
