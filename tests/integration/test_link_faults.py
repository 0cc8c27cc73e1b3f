"""The stream on bad days, with real nodes: cuts anywhere, silence, stopped processes, wrong clocks."""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from replicad.cli.demonstration.ports import HOST
from tests.support.nodes.daemons import Cluster, Daemon, follows
from tests.support.nodes.load import fill
from tests.support.nodes.proxy import Proxy
from tests.support.waiting import eventually

pytestmark = pytest.mark.long


def behind_proxy(cluster: Cluster, **link: object) -> tuple[Daemon, Daemon, Proxy]:
    """A primary and a replica that streams from it through a proxy."""
    primary = cluster.primary(tables={"link": link}).start()
    replica = cluster.replica()
    proxy = Proxy(cluster.replication_port)
    replica.keys["primary"] = f"{HOST}:{proxy.port}"
    replica.configure({"link": link})
    replica.start()
    follows(replica, primary)
    return primary, replica, proxy


class Writing(threading.Thread):
    """One write after another until told to stop."""

    def __init__(self, primary: Daemon) -> None:
        super().__init__()
        self._primary = primary
        self.ending = threading.Event()
        self.written = 0

    def run(self) -> None:
        with self._primary.client() as client:
            while not self.ending.is_set():
                client.set(f"key:{self.written % 1000}", b"%d" % self.written * 20)
                self.written += 1

    def __enter__(self) -> Writing:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ending.set()
        self.join()


def test_a_link_cut_at_many_offsets_of_a_stream(cluster: Cluster) -> None:
    """Wherever it breaks, within a header or a frame, the stream goes on from the last whole batch."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    primary, replica, proxy = behind_proxy(cluster)
    try:
        with Writing(primary) as writing:
            for number in range(40):
                proxy.cut_after = rng.choice([1, 15, 16, 17, 40, rng.randrange(100, 5000)])
                eventually(lambda cuts=number + 1: proxy.cuts >= cuts)  # type: ignore[misc]
        assert writing.written > 100
        follows(replica, primary)
        assert replica.status()["last_bootstrap"]["size_bytes"] >= 0
        assert len(replica.events("bootstrap.finished")) == 1, "the log was enough every time"
    finally:
        proxy.close()


def test_a_half_open_link_is_noticed_by_both_sides(cluster: Cluster) -> None:
    """When nothing arrives any more and no connection is closed, both give up within the idle time."""
    primary, replica, proxy = behind_proxy(cluster, idle_seconds=0.6)
    try:
        eventually(lambda: replica.status()["link"]["state"] == "streaming")
        proxy.silent = True
        fill(primary, 50)
        eventually(lambda: len(replica.events("replication.link_down")) > 0)
        assert "nothing came" in replica.logged("replication.link_down")[0]["reason"]
        eventually(lambda: primary.status()["replicas"][0]["state"] == "away")
        assert any("nothing came" in event["reason"] for event in primary.logged("replication.session_ended"))
        proxy.silent = False
        proxy.cut()
        follows(replica, primary)
    finally:
        proxy.close()


@pytest.mark.parametrize("who", ["primary", "replica"])
def test_a_side_that_is_stopped_goes_on(cluster: Cluster, who: str) -> None:
    """SIGSTOP for longer than the idle time: the other side gives the link up and takes it up again."""
    primary, replica, proxy = behind_proxy(cluster, idle_seconds=0.6)
    stopped, other = (primary, replica) if who == "primary" else (replica, primary)
    try:
        fill(primary, 100)
        stopped.stop()
        try:
            event = "replication.link_down" if who == "primary" else "replication.session_ended"
            before = len(other.events(event))
            eventually(lambda: len(other.events(event)) > before)
            if who == "replica":
                fill(primary, 500, start=100)
        finally:
            stopped.go_on()
        follows(replica, primary)
    finally:
        proxy.close()


def test_a_replica_stopped_for_a_whole_load(cluster: Cluster) -> None:
    """The primary's memory stays bounded, and the replica catches up from the log if its slot may hold it."""
    primary = cluster.primary(tables={"store": SIZES}).start()
    replica = cluster.replica(tables={"store": SIZES}).start()
    follows(replica, primary)
    load_beside_a_stopped_replica(primary, replica)
    catches_up(replica, primary)
    assert len(replica.events("bootstrap.finished")) == 1


def test_a_replica_stopped_for_a_load_over_its_cap(cluster: Cluster) -> None:
    """Its log goes, the disk stays bounded, and it catches up with a new copy."""
    cap = LOAD_BYTES // 6
    store = {**SIZES, "log_retention_bytes": 0}
    primary = cluster.primary(tables={"link": {"slot_log_bytes_max": cap}, "store": store}).start()
    replica = cluster.replica(tables={"store": SIZES}).start()
    follows(replica, primary)

    def is_bounded() -> bool:
        return bool(primary.status()["log"]["log_bytes"] < 2 * cap)

    load_beside_a_stopped_replica(primary, replica, lambda: eventually(is_bounded, LOAD_SECONDS))
    eventually(lambda: len(replica.events("bootstrap.finished")) == 2, LOAD_SECONDS)
    catches_up(replica, primary)


LOAD_BYTES = int(os.environ.get("REPLICAD_LOAD_BYTES", 24_000_000))
"""How much is written while a replica stands still."""
LOAD_SECONDS = 60 + LOAD_BYTES / 4e6
SIZES = {
    "memtable_bytes": max(65536, LOAD_BYTES // 400),
    "segment_bytes": max(16384, LOAD_BYTES // 1000),
    "table_bytes": max(1 << 16, LOAD_BYTES // 400),
}


def load_beside_a_stopped_replica(
    primary: Daemon, replica: Daemon, loaded: Callable[[], None] = lambda: None
) -> None:
    """Looks at the primary's memory all the while; `loaded` is called before the replica goes on."""
    before = most = resident_bytes(primary)
    began = time.monotonic()
    replica.stop()
    try:
        for _ in large_writes(primary, LOAD_BYTES):
            most = max(most, resident_bytes(primary))
        seconds = time.monotonic() - began
        loaded()
    finally:
        replica.go_on()
    kept = primary.status()["log"]["log_bytes"]
    print(f"{LOAD_BYTES / 1e6:.0f} MB in {seconds:.1f} s beside a stopped replica; resident at the primary: ")
    print(f"{before / 1e6:.0f} MB before, {most / 1e6:.0f} MB at most; {kept / 1e6:.0f} MB of log kept")
    assert most - before < 60_000_000 + 6 * SIZES["memtable_bytes"]


def catches_up(replica: Daemon, primary: Daemon) -> None:
    began = time.monotonic()
    follows(replica, primary, LOAD_SECONDS)
    copies = len(replica.events("bootstrap.finished"))
    print(f"it follows {time.monotonic() - began:.1f} s later, after {copies} copies in its life")


def large_writes(primary: Daemon, size_bytes: int) -> Iterator[int]:
    """Values that do not compress, each key written twice; yields after each pipeline."""
    count = size_bytes // LARGE_BYTES
    with primary.client() as client:
        for first in range(0, count, 20):
            pipeline = client.pipeline(transaction=False)
            for number in range(first, min(first + 20, count)):
                pipeline.set(f"large:{number % (count // 2)}", random.randbytes(LARGE_BYTES))
            pipeline.execute()
            yield first


LARGE_BYTES = 20_000


def load_large(primary: Daemon, size_bytes: int) -> None:
    for _ in large_writes(primary, size_bytes):
        pass


def resident_bytes(daemon: Daemon) -> int:
    assert daemon.process is not None
    with open(f"/proc/{daemon.process.pid}/statm") as statm:
        return int(statm.read().split()[1]) * 4096


@pytest.mark.skipif(shutil.which("faketime") is None, reason="needs faketime")
@pytest.mark.parametrize("offset", ["-1d", "+1d"])
def test_a_clock_that_is_a_day_off(cluster: Cluster, offset: str) -> None:
    """The replica's clock says nothing about its data: it follows, is not stale, and lag is 0 when idle."""
    primary = cluster.primary().start()
    replica = cluster.replica(tables={"link": {"max_staleness_seconds": 2.0}})
    replica.wrapper = ["faketime", "-f", offset]
    replica.environment["FAKETIME_DONT_FAKE_MONOTONIC"] = "1"
    replica.start()
    fill(primary, 500)
    follows(replica, primary)
    with replica.client() as client:
        eventually(lambda: client.get("key:1") is not None)
    eventually(lambda: replica.status()["link"]["lag_seconds"] == 0)
    eventually(lambda: primary.status()["replicas"][0]["lag_seconds"] == 0)
    with primary.client() as client:
        client.set("k", 1)
        assert client.execute_command("WAITAOF", 1, 1, 5000) == [1, 1]


def test_a_full_disk_of_a_replica(cluster: Cluster, small_disk: Path) -> None:
    """It keeps serving what it has; when there is room it goes on, and the primary never waited."""
    primary = cluster.primary().start()
    replica = cluster.replica()
    replica.data = small_disk / "replica"
    replica.keys["data"] = str(replica.data)
    replica.configure(
        {"store": {"log_retention_bytes": 0, "log_disk_floor_bytes": 0, "disk_reserve_bytes": 0}}
    )
    replica.start()
    fill(primary, 10)
    follows(replica, primary)
    filler = small_disk / "filler"
    with open(filler, "wb") as file:
        free = shutil.disk_usage(small_disk).free
        file.write(b"\0" * (free - 200_000))
    load_large(primary, 4_000_000)
    with replica.client() as client:
        eventually(lambda: client.get("key:1") is not None)
        assert replica.process is not None and replica.process.poll() is None
    before = primary.status()["applied_sequence"]
    assert replica.status()["applied_sequence"] < before
    filler.unlink()
    follows(replica, primary, 60)
    with pytest.raises(redis.RedisError), replica.client() as client:
        client.set("k", 1)
