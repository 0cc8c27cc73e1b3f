"""Slots on real nodes: what the log of an absent replica costs, what ends it, what an operator sees."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.nodes.daemons import Cluster, Daemon, Tables, follows
from tests.support.nodes.load import fill
from tests.support.waiting import eventually

pytestmark = pytest.mark.long

FORGETFUL = {"store": {"log_retention_bytes": 0}}


def slots(node: object) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "replicad", "slot", "list", str(node), "--json"]
    done = subprocess.run(command, capture_output=True, timeout=30, check=True)
    return list(json.loads(done.stdout))


def away(cluster: Cluster, link: dict[str, Any]) -> tuple[Daemon, Daemon]:
    """A primary that keeps no log of itself, and a replica that followed and was killed."""
    primary = cluster.primary(tables={**FORGETFUL, "link": link}).start()
    replica = cluster.replica().start()
    fill(primary, 10)
    follows(replica, primary)
    replica.kill()
    return primary, replica


def test_log_of_a_replica_that_is_away_stays_and_goes_when_it_caught_up(cluster: Cluster) -> None:
    """The slot holds what the replica lacks; afterwards the log goes although nobody writes any more."""
    primary, replica = away(cluster, {})
    fill(primary, 2000)

    def retained() -> int:
        (slot,) = slots(f":{primary.port}")
        assert slot["state"] == "extended"
        return int(slot["retained_bytes"])

    eventually(lambda: retained() > 400_000)
    eventually(lambda: primary.status()["log"]["archived"] > 5)
    replica.start()
    follows(replica, primary)
    assert replica.status()["last_bootstrap"] is None
    eventually(lambda: primary.status()["log"]["archived"] == 0)
    (entry,) = primary.status()["replicas"]
    assert (entry["slot"], entry["lag_bytes"], entry["lag_seconds"]) == ("reserved", 0, 0)


def test_a_slot_over_its_cap_says_why_and_ends_as_lost(cluster: Cluster) -> None:
    """The writes go on, the log goes, the reason stays, and the replica gets a new copy."""
    primary, replica = away(cluster, {"slot_log_bytes_max": 50_000})
    fill(primary, 2000)
    eventually(lambda: slots(f":{primary.port}")[0]["state"] == "lost")
    (slot,) = slots(f":{primary.port}")
    assert "the cap is 50000" in slot["reason"]
    assert primary.logged("slot.let_go")
    replica.start()
    follows(replica, primary)
    assert replica.status()["last_bootstrap"] is not None
    eventually(lambda: slots(f":{primary.port}")[0]["state"] == "reserved")


def test_a_stream_ends_before_its_log_goes(cluster: Cluster) -> None:
    """A replica that reads too slowly loses its session with the reason, and never meets a gap."""
    primary, replica = away(cluster, {"slot_log_bytes_max": 100_000})
    replica.start()
    follows(replica, primary)
    assert replica.process is not None
    replica.stop()
    try:
        fill(primary, 3000)
        primary.logged("slot.let_go")
        eventually(lambda: primary.status()["log"]["first_sequence"] > 2000)
    finally:
        replica.go_on()
    follows(replica, primary)
    assert not [event for event in replica.events("replication.link_down") if "Gap" in event["reason"]]


def test_dropping_a_slot_lets_its_log_go_at_once(cluster: Cluster) -> None:
    """By name or id, on a node that runs or is down; the log goes at once."""
    primary, replica = away(cluster, {})
    replica.start()
    fill(primary, 1000)
    follows(replica, primary)
    replica.kill()
    fill(primary, 1000)

    def drop(node: object) -> int:
        (slot,) = slots(node)
        command = [sys.executable, "-m", "replicad", "slot", "drop", str(node), slot["node_id"][:8]]
        return subprocess.run(command, timeout=30, check=False).returncode

    eventually(lambda: primary.status()["log"]["archived"] > 3)
    assert drop(f":{primary.port}") == 0
    eventually(lambda: slots(f":{primary.port}") == [])
    eventually(lambda: primary.status()["log"]["archived"] == 0)
    replica.start()
    follows(replica, primary)
    replica.kill()
    assert drop(primary.data) != 0, "its daemon runs"
    assert primary.terminate() == 0
    assert drop(primary.data) == 0
    assert slots(primary.data) == []


def test_archived_log_is_tried_before_a_new_copy(cluster: Cluster, tmp_path: Path) -> None:
    """The slot let go and the log is gone: the replica reads what was archived, and streams from there."""
    archive = str(tmp_path / "archive")
    tables: Tables = {
        **FORGETFUL,
        "link": {"slot_log_bytes_max": 50_000},
        "backup": {"target": archive, "archive_log": True, "archive_seconds": 0.1},
    }
    primary = cluster.primary(tables=tables).start()
    replica = cluster.replica(tables={"backup": {"catch_up_from": archive}}).start()
    fill(primary, 10)
    follows(replica, primary)
    copies = len(replica.events("bootstrap.finished"))
    replica.kill()
    fill(primary, 2000)
    eventually(lambda: primary.status()["log_archive"]["lag_sequences"] == 0)
    # Without its archiver, which also holds log, the node lets all of it go.
    assert primary.terminate() == 0
    primary.configure({name: table for name, table in tables.items() if name != "backup"})
    primary.start()
    eventually(lambda: slots(f":{primary.port}")[0]["state"] == "lost")
    fill(primary, 10, start=2000)
    replica.start()
    follows(replica, primary)
    assert replica.logged("archive.applied")
    assert len(replica.events("bootstrap.finished")) == copies
