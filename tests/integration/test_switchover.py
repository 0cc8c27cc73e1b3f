"""Switchovers of running processes: under load, given up, killed at every step, and as Redis calls them."""

from __future__ import annotations

import os
import statistics
import sys
import threading
import time
from pathlib import Path

import pytest
import redis

from replicad.cli.main import main
from tests.integration.test_roles import QUICK, fill, joins, pair, standing
from tests.support.nodes.daemons import Cluster, Daemon, follows
from tests.support.waiting import eventually

pytestmark = pytest.mark.long

DYING = Path(__file__).parents[1] / "support" / "nodes" / "dying.py"


class Writer(threading.Thread):
    """Appends its own numbers to a key of its own, at whichever node takes them."""

    def __init__(self, name: str, nodes: list[Daemon]) -> None:
        super().__init__()
        self.key = name
        self.nodes = nodes
        self.acknowledged: list[int] = []
        self.unknown: list[int] = []
        self.slowest_seconds = 0.0
        self.ending = threading.Event()

    def run(self) -> None:
        number, at = 0, 0
        clients = [redis.Redis(port=node.port, socket_timeout=20, retry=None) for node in self.nodes]
        answered = time.monotonic()
        while not self.ending.is_set():
            try:
                clients[at].append(self.key, f"{number},")
                self.acknowledged.append(number)
                self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - answered)
                answered = time.monotonic()
                number += 1
            except redis.ReadOnlyError as error:
                if "unknown" in str(error):
                    self.unknown.append(number)
                    number += 1
                at = 1 - at
            except redis.RedisError:
                self.unknown.append(number)
                number, at = number + 1, 1 - at
                time.sleep(0.01)
        for client in clients:
            client.close()


def fdatasync_median(directory: Path) -> float:
    """What the disk of this run takes for a small append and its fdatasync."""
    took = []
    with open(directory / "probe", "wb", buffering=0) as file:
        for _ in range(40):
            file.write(b"x" * 100)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.median(took)


def check(writers: list[Writer], primary: Daemon) -> None:
    """Every acknowledged append is there once, in order; what is there besides had no answer."""
    with primary.client() as client:
        for writer in writers:
            value = client.get(writer.key)
            assert isinstance(value, bytes)
            numbers = [int(number) for number in value.split(b",")[:-1]]
            assert numbers == sorted(set(numbers))
            assert set(writer.acknowledged) <= set(numbers)
            assert set(numbers) <= {*writer.acknowledged, *writer.unknown}


def test_under_load_nothing_is_lost_or_doubled(cluster: Cluster, tmp_path: Path) -> None:
    """There and back while clients write; the pause of writes is reported beside the disk's fdatasync."""
    nodes = list(pair(cluster))
    writers = [Writer(f"writer:{number}", nodes) for number in range(4)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(4):
            count = len(writers[0].acknowledged) + 50
            eventually(lambda count=count: len(writers[0].acknowledged) > count)  # type: ignore[misc]
            eventually(lambda: nodes[1].status()["link"]["state"] == "streaming")
            assert main(["switchover", f":{nodes[0].port}", "--to", f":{nodes[1].port}"]) == 0
            assert nodes[1].status()["role"] == "primary"
            nodes.reverse()
    finally:
        for writer in writers:
            writer.ending.set()
        for writer in writers:
            writer.join()
    assert all(not writer.unknown for writer in writers)
    joins(nodes[1], nodes[0])
    check(writers, nodes[0])
    eventually(lambda: sum(len(node.events("switchover.done")) for node in nodes) == 4)
    paused = [event["seconds"] for node in nodes for event in node.events("switchover.done")]
    median = fdatasync_median(tmp_path)
    slowest = max(writer.slowest_seconds for writer in writers)
    print(f"paused {[f'{s * 1000:.1f}' for s in paused]} ms, slowest write {slowest * 1000:.1f} ms, ")
    print(f"fdatasync median {median * 1000:.2f} ms")


def test_a_promotion_by_command_reports_its_pause(cluster: Cluster, tmp_path: Path) -> None:
    """From the command to the first acknowledged write, with a replica that is caught up and a primary that
    is dead; what was acknowledged is there."""
    primary, replica = pair(cluster)
    writers = [Writer(f"writer:{number}", [primary]) for number in range(4)]
    for writer in writers:
        writer.start()
    eventually(lambda: all(len(writer.acknowledged) > 50 for writer in writers))
    for writer in writers:
        writer.ending.set()
        writer.join()
    follows(replica, primary)
    primary.kill()
    with replica.client() as client:
        began = time.monotonic()
        client.execute_command("REPLICAD.PROMOTE")
        client.set("first", 1)
        seconds = time.monotonic() - began
    check(writers, replica)
    (promoted,) = replica.logged("role.promotion_done")
    print(f"paused {seconds * 1000:.1f} ms, {promoted['seconds'] * 1000:.1f} ms of it in the node, ")
    print(f"fdatasync median {fdatasync_median(tmp_path) * 1000:.2f} ms")


def test_a_target_that_does_not_answer_changes_nothing(cluster: Cluster) -> None:
    """The time is over: writes that waited go on where they were, in the same epoch."""
    primary, replica = pair(cluster)
    replica.stop()
    try:
        with primary.client() as client:
            waited = threading.Thread(target=lambda: fill(primary, 100, 1))
            with pytest.raises(redis.ResponseError, match="rolled back"):
                waited.start()
                client.execute_command("REPLICAD.SWITCHOVER", "TIMEOUT", "300")
            waited.join()
            assert client.get("key:100") == b"100"
    finally:
        replica.go_on()
    assert standing(primary) == "primary"
    assert primary.status()["epoch"] == 1
    follows(replica, primary)


@pytest.mark.parametrize("step", ["paused", "durable", "ready", "given", "demoted", "taken"])
def test_the_primary_dies_at_a_step(cluster: Cluster, step: str) -> None:
    """Started again it goes on, or hands over; one of the two takes writes, and has all of them."""
    primary, replica = pair(cluster)
    primary.terminate()
    primary.wrapper = [sys.executable, str(DYING), step]
    primary.start()
    eventually(lambda: standing(replica) == "following" and standing(primary) == "primary")
    die(primary, replica)


@pytest.mark.parametrize("step", ["target-ready", "granted", "alone", "begun"])
def test_the_target_dies_at_a_step(cluster: Cluster, step: str) -> None:
    """Started again it goes on following, or takes over."""
    primary, replica = pair(cluster)
    replica.terminate()
    replica.wrapper = [sys.executable, str(DYING), step]
    replica.start()
    die(replica, primary, primary)


def die(dying: Daemon, other: Daemon, primary: Daemon | None = None) -> None:
    """Switches over, waits for the death, starts that node again, and checks what is left."""
    primary = primary or dying
    target = other if primary is dying else dying
    fill(primary, 0, 20)
    follows(target, primary)
    with primary.client() as client, pytest.raises(redis.RedisError):
        eventually(lambda: client.execute_command("REPLICAD.SWITCHOVER", "TIMEOUT", "1000") is None)
    assert dying.process is not None
    assert dying.process.wait(20) == -9
    dying.process = None
    dying.wrapper = []
    dying.start()

    def one_writes() -> bool:
        return sorted((standing(dying), standing(other))) == ["following", "primary"]

    eventually(one_writes)
    new, old = (dying, other) if standing(dying) == "primary" else (other, dying)
    fill(new, 100, 20)
    joins(old, new)
    with new.client() as client:
        values = client.mget([f"key:{number}" for number in (*range(50), *range(100, 120))])
    assert None not in values


def test_redis_commands_agree(cluster: Cluster) -> None:
    """FAILOVER, ROLE, INFO replication and REPLICAOF mean the same change of roles."""
    primary, replica = pair(cluster)
    with primary.client() as old, replica.client() as new:
        assert old.execute_command("FAILOVER", "TO", "127.0.0.1", str(replica.port)) in (b"OK", True)
        assert new.role()[0] == b"master"
        assert old.role()[0] == b"slave"
        assert old.info("replication")["master_port"] == replica.port
        with pytest.raises(redis.ResponseError, match=r"close a loop|below"):
            new.execute_command("REPLICAOF", "127.0.0.1", str(primary.port))
        with pytest.raises(redis.ResponseError, match="No failover"):
            new.execute_command("FAILOVER", "ABORT")
        with pytest.raises(redis.ResponseError, match="no connected replica"):
            new.execute_command("FAILOVER", "TO", "127.0.0.1", "1")
    joins(primary, replica)


def test_a_loop_is_refused_with_its_path(cluster: Cluster) -> None:
    """A chain of three; its head's replica may not follow the tail."""
    primary, middle = pair(cluster)
    address = middle.status()["replication"]
    cluster.replication_port = int(address.rpartition(":")[2])
    tail = cluster.replica("tail", tables=QUICK).start()
    follows(tail, middle)
    assert len(tail.status()["path"]) == 2
    with middle.client() as client, pytest.raises(redis.ResponseError, match=r"loop: .* -> .* -> "):
        client.execute_command("REPLICAOF", "127.0.0.1", str(tail.port))
    fill(primary, 100, 10)
    joins(tail, primary)
    with tail.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", str(primary.port))
    eventually(lambda: len(tail.status()["path"]) == 1)
    fill(primary, 200, 10)
    joins(tail, primary)
