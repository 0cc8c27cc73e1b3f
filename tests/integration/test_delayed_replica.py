"""A replica that applies late, as processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from replicad.cli.demonstration.ports import HOST, free_ports
from replicad.env import Env
from replicad.store.database import open_database
from replicad.units import show_time
from tests.support.nodes.daemons import Cluster, Daemon, follows, sequence_of
from tests.support.waiting import eventually

HOUR: dict[str, dict[str, Any]] = {"link": {"apply_delay_seconds": 3600.0}}
NO_DELAY: dict[str, dict[str, Any]] = {"link": {"apply_delay_seconds": 0.0}}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    made.end()


def apply_of(replica: Daemon) -> dict[str, Any]:
    found: dict[str, Any] = replica.status()["apply"]
    return found


def write(primary: Daemon, first: int, last: int) -> None:
    with primary.client() as client:
        for number in range(first, last):
            client.set(f"key {number}", number)


def received(replica: Daemon, primary: Daemon) -> None:
    """Waits until the replica has all of the primary's log durably."""
    target = sequence_of(primary)

    def is_durable() -> bool:
        try:
            rows = primary.status()["replicas"]
            return any(row["state"] != "away" and row["durable_sequence"] >= target for row in rows)
        except (redis.ConnectionError, KeyError):
            return False

    eventually(is_durable)
    assert apply_of(replica)["received_sequence"] >= target


def pair(cluster: Cluster, tables: dict[str, dict[str, Any]]) -> tuple[Daemon, Daemon]:
    """With a first key on both: what the copy brought."""
    primary = cluster.primary().start()
    write(primary, 0, 1)
    replica = cluster.replica(tables=tables).start()
    follows(replica, primary)
    return primary, replica


def test_batches_are_durable_at_once_and_seen_when_they_are_due(cluster: Cluster) -> None:
    """Neither readers nor the node's position see what waits; a shorter delay shows it."""
    primary, replica = pair(cluster, HOUR)
    write(primary, 1, 50)
    received(replica, primary)
    assert replica.ask("GET", "key 1") is None
    shown = apply_of(replica)
    assert shown["delay_seconds"] == 3600 and not shown["paused"]
    assert shown["waiting_sequences"] >= 49 and shown["waiting_bytes"] > 0

    replica.configure(NO_DELAY)
    replica.ask("REPLICAD.RELOAD")
    follows(replica, primary)
    eventually(lambda: apply_of(replica)["waiting_bytes"] == 0)


def test_a_write_may_wait_for_a_delayed_replica_to_have_it(cluster: Cluster) -> None:
    """What it acknowledges as durable is durable, though nobody sees it there."""
    primary = cluster.primary(tables={"link": {"synchronous": "any 1"}})
    replica = cluster.replica(tables=HOUR)
    primary.start()
    replica.start()
    write(primary, 0, 10)
    assert replica.ask("GET", "key 9") is None
    replica.kill()
    primary.kill()
    replica.start()
    assert apply_of(replica)["received_sequence"] >= 10
    assert replica.ask("REPLICAD.PROMOTE", "FORCE")
    assert replica.ask("GET", "key 9") == b"9"


def test_kill_9_while_batches_wait_loses_none_and_applies_none_early(cluster: Cluster) -> None:
    """Again and again, while more is written; at the end every batch is applied once."""
    primary, replica = pair(cluster, HOUR)
    for round_ in range(5):
        write(primary, 1 + 40 * round_, 41 + 40 * round_)
        if round_ % 2:
            received(replica, primary)
            target = sequence_of(primary)
            replica.kill()
            replica.start()
            assert apply_of(replica)["received_sequence"] >= target
        else:
            replica.kill()
            replica.start()
        assert replica.ask("GET", "key 1") is None
    received(replica, primary)
    replica.configure(NO_DELAY)
    replica.ask("REPLICAD.RELOAD")
    replica.kill()
    replica.start()
    follows(replica, primary)


def test_a_pause_at_a_sequence_number_stands_exactly_there(cluster: Cluster) -> None:
    """Through a restart by kill -9, until it is resumed."""
    primary, replica = pair(cluster, {})
    stop_at = sequence_of(primary) + 5
    point = json.loads(replica.ask("REPLICAD.REPLICA", "PAUSE", "AT", str(stop_at)))
    assert point["sequence"] == stop_at
    write(primary, 1, 30)
    received(replica, primary)
    eventually(lambda: sequence_of(replica) == stop_at)

    replica.kill()
    replica.start()
    received(replica, primary)
    write(primary, 30, 40)
    received(replica, primary)
    shown = apply_of(replica)
    assert shown["paused"] and shown["pause_sequence"] == stop_at
    assert sequence_of(replica) == stop_at
    assert replica.ask("GET", "key 5") == b"5" and replica.ask("GET", "key 6") is None

    assert replica.ask("REPLICAD.REPLICA", "RESUME") == 1
    assert replica.ask("REPLICAD.REPLICA", "RESUME") == 0
    follows(replica, primary)
    replica.kill()
    replica.start()
    assert not apply_of(replica)["paused"]


def test_a_pause_at_a_time_stops_before_the_mistake(cluster: Cluster) -> None:
    """The operator says when; what was committed by then is applied, whatever the delay."""
    primary, replica = pair(cluster, HOUR)
    write(primary, 1, 20)
    before = sequence_of(primary)
    time_us = commit_time_us(primary)
    eventually(lambda: Env().clock.wall_us() > time_us)
    primary.ask("DEL", "key 7")
    received(replica, primary)

    assert replica.ask("REPLICAD.REPLICA", "PAUSE", "AT", show_time(time_us))
    replica.configure(NO_DELAY)
    replica.ask("REPLICAD.RELOAD")
    eventually(lambda: sequence_of(replica) == before)
    eventually(lambda: apply_of(replica)["stands_still"])
    assert replica.ask("GET", "key 7") == b"7"
    assert sequence_of(replica) == before
    assert replica.ask("REPLICAD.REPLICA", "RESUME") == 1
    follows(replica, primary)
    assert replica.ask("GET", "key 7") is None


def commit_time_us(primary: Daemon) -> int:
    """Of the newest batch."""
    with open_database(primary.data, read_only=True) as database:
        return database.commit_time_us


def test_a_pause_that_is_too_late_is_refused(cluster: Cluster) -> None:
    """It says how far the replica is; nothing is paused."""
    primary, replica = pair(cluster, {})
    write(primary, 1, 10)
    follows(replica, primary)
    with pytest.raises(redis.ResponseError, match="beyond sequence number 2 already"):
        replica.ask("REPLICAD.REPLICA", "PAUSE", "AT", "2")
    with pytest.raises(redis.ResponseError, match="applied everything through sequence number"):
        replica.ask("REPLICAD.REPLICA", "PAUSE", "AT", "2001-01-01T00:00:00Z")
    with pytest.raises(redis.ResponseError, match="only a replica"):
        primary.ask("REPLICAD.REPLICA", "PAUSE")
    assert not apply_of(replica)["paused"]


def test_a_promotion_applies_what_waits(cluster: Cluster) -> None:
    """Nothing that a delayed replica has is lost by its promotion."""
    primary, replica = pair(cluster, HOUR)
    write(primary, 1, 30)
    received(replica, primary)
    primary.kill()
    replica.ask("REPLICAD.PROMOTE")
    assert [replica.ask("GET", f"key {number}") for number in (1, 29)] == [b"1", b"29"]
    replica.kill()
    replica.start()
    assert replica.ask("GET", "key 29") == b"29"
    assert replica.status()["discarded"]["batches"] == 0


def test_a_paused_replica_is_promoted_by_force_at_the_pause(cluster: Cluster) -> None:
    """The state before the mistake becomes the data; what came after it is saved."""
    primary, replica = pair(cluster, HOUR)
    write(primary, 1, 20)
    good = sequence_of(primary)
    primary.ask("DEL", "key 7")
    write(primary, 20, 25)
    received(replica, primary)
    replica.ask("REPLICAD.REPLICA", "PAUSE", "AT", str(good))
    with pytest.raises(redis.ResponseError, match="paused at sequence number"):
        replica.ask("REPLICAD.PROMOTE")

    lost = replica.ask("REPLICAD.PROMOTE", "FORCE").decode()
    assert "discarded" in lost and f"sequence numbers {good + 1} to" in lost
    assert replica.ask("GET", "key 7") == b"7" and replica.ask("GET", "key 20") is None
    assert replica.status()["discarded"]["batches"] == 6
    replica.kill()
    replica.start()
    assert replica.status()["role"] == "primary"
    assert replica.ask("GET", "key 7") == b"7"
    assert replica.status()["discarded"]["batches"] == 6


def test_what_follows_a_delayed_replica_sees_what_it_applied(cluster: Cluster) -> None:
    """A replica of it, which has no delay of its own."""
    primary, replica = pair(cluster, HOUR)
    (port,) = free_ports(1)
    chained = Daemon(
        cluster.directory,
        "replica",
        "chained",
        {},
        listen=f"{HOST}:{port}",
        primary=replica.status()["replication"],
    )
    cluster.daemons.append(chained.start())
    follows(chained, replica)
    write(primary, 1, 20)
    received(replica, primary)
    assert chained.ask("GET", "key 1") is None
    assert sequence_of(chained) == sequence_of(replica)
    replica.ask("CONFIG", "SET", "link.apply_delay_seconds", "0")
    follows(chained, primary)


def test_a_switchover_hands_nothing_to_a_delayed_replica(cluster: Cluster) -> None:
    """It would have to show at once what it is to keep back; the primary goes on."""
    primary, replica = pair(cluster, HOUR)
    with pytest.raises(redis.ResponseError, match="applies late"):
        primary.ask("REPLICAD.SWITCHOVER", "TO", f"{HOST}:{replica.port}")
    write(primary, 1, 2)
    replica.ask("CONFIG", "SET", "link.apply_delay_seconds", "0")
    follows(replica, primary)
    primary.ask("REPLICAD.SWITCHOVER", "TO", f"{HOST}:{replica.port}")
    assert replica.status()["role"] == "primary"


def test_a_paused_replica_takes_no_copy(cluster: Cluster) -> None:
    """A copy would carry it beyond the pause; it waits for its operator instead."""
    primary, replica = pair(cluster, {})
    replica.ask("REPLICAD.REPLICA", "PAUSE")
    with pytest.raises(redis.ResponseError, match="is paused at sequence number"):
        replica.ask("REPLICAD.REJOIN")
    stands_at = sequence_of(replica)
    write(primary, 1, 5)
    received(replica, primary)
    assert sequence_of(replica) == stands_at


def test_another_history_takes_what_waits_and_saves_it(cluster: Cluster) -> None:
    """Nobody saw it; the delayed replica follows the new primary from the fork."""
    primary, delayed = pair(cluster, HOUR)
    other = cluster.replica("other").start()
    follows(other, primary)
    fork = sequence_of(other)
    other.kill()
    write(primary, 1, 20)
    received(delayed, primary)
    primary.kill()
    other.start()
    other.ask("REPLICAD.PROMOTE", "FORCE")
    write(other, 100, 110)
    eventually(lambda: delayed.status()["discarded"]["batches"] > 0)
    eventually(lambda: apply_of(delayed)["received_sequence"] >= sequence_of(other))
    assert sequence_of(delayed) <= fork
    delayed.ask("CONFIG", "SET", "link.apply_delay_seconds", "0")
    follows(delayed, other)
    assert delayed.ask("GET", "key 1") is None and delayed.ask("GET", "key 109") == b"109"


def test_a_node_that_lacks_what_waits_elsewhere_is_not_promoted(cluster: Cluster) -> None:
    """The delayed replica has it: that one is named."""
    primary, delayed = pair(cluster, HOUR)
    other = cluster.replica("other").start()
    follows(other, primary)
    eventually(lambda: len(other.status()["peers"]) == 2)
    other.kill()
    write(primary, 1, 20)
    received(delayed, primary)
    primary.kill()
    other.start()

    def names_it() -> bool:
        with pytest.raises(redis.ResponseError) as refused:
            other.ask("REPLICAD.PROMOTE")
        return "is further" in str(refused.value)

    eventually(names_it)
    delayed.ask("REPLICAD.PROMOTE", "FORCE")
    assert delayed.ask("GET", "key 19") == b"19"
    follows(other, delayed)


def test_log_that_waits_is_bounded_and_status_says_so(cluster: Cluster) -> None:
    """The replica receives nothing more, and goes on as soon as it applied some."""
    tables = {"link": {"apply_delay_seconds": 3600.0, "apply_delay_bytes_max": 4096}}
    primary, replica = pair(cluster, tables)
    eventually(lambda: wrote_until_full(primary, replica))
    shown = replica.status()
    assert shown["link"]["state"] == "waiting"
    assert "apply_delay_bytes_max" in shown["apply"]["refused"]
    assert shown["apply"]["waiting_bytes"] < 4096 + (1 << 20)
    assert replica.ask("GET", "large") is None
    replica.ask("CONFIG", "SET", "link.apply_delay_seconds", "0")
    follows(replica, primary)


def wrote_until_full(primary: Daemon, replica: Daemon) -> bool:
    primary.ask("SET", "large", "v" * 1000)
    return bool(str(replica.status()["link"]["waits_for"]).startswith("room for more log"))


def run_cli(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "replicad", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_verify_leaves_a_delayed_replica_out(cluster: Cluster) -> None:
    """It says so, and does not wait; it refuses when nothing is left to compare."""
    primary, delayed = pair(cluster, HOUR)
    other = cluster.replica("other").start()
    follows(other, primary)
    write(primary, 1, 20)
    received(delayed, primary)
    names = [f"{HOST}:{node.port}" for node in (primary, delayed, other)]
    compared = run_cli("verify", *names)
    assert (compared.returncode, "equal at" in compared.stdout) == (0, True)
    assert f"{names[1]} is left out: it applies 1h00m late" in compared.stderr
    refused = run_cli("verify", *names[:2])
    assert refused.returncode != 0 and "applies 1h00m late" in refused.stderr


def test_the_verbs_of_the_command_line(cluster: Cluster) -> None:
    """They say where the replica stands; a point that is applied is refused with exit code 1."""
    primary, replica = pair(cluster, {})
    node = f"{HOST}:{replica.port}"
    paused = run_cli("replica-pause", node)
    assert paused.returncode == 0
    assert "is paused at sequence number 1; it has applied through 1" in paused.stdout
    write(primary, 1, 3)
    received(replica, primary)
    resumed = run_cli("replica-resume", node)
    assert resumed.returncode == 0 and "applies again" in resumed.stdout
    follows(replica, primary)
    late = run_cli("replica-pause", node, "--at", "1")
    assert late.returncode != 0 and "beyond sequence number 1 already" in late.stderr
    wrong = run_cli("replica-pause", node, "--at", "soon")
    assert wrong.returncode == 2 and "'soon' is not a time" in wrong.stderr
