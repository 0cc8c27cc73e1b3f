"""A primary and replicas as real processes: bootstrap, streaming, catching up, and what must be refused."""

from __future__ import annotations

import random
import shutil
import threading
import time
from functools import partial
from pathlib import Path

import pytest
import redis

from replicad.state import NodeState
from replicad.types import Position
from tests.support.nodes.daemons import Cluster, Daemon, follows, sequence_of
from tests.support.nodes.load import fill
from tests.support.waiting import eventually


def test_a_write_is_readable_on_the_replica_at_once(cluster: Cluster, primary: Daemon) -> None:
    """What was acknowledged is on a streaming replica within moments, and its reads say so."""
    replica = cluster.replica().start()
    waits = []
    with primary.client() as writer, replica.client() as reader:
        for number in range(200):
            writer.set("k", number)
            acknowledged = time.perf_counter()
            while reader.get("k") != b"%d" % number:
                assert time.perf_counter() - acknowledged < 5
            waits.append(time.perf_counter() - acknowledged)
        assert writer.wait(1, 5000) == 1
        with pytest.raises(redis.exceptions.ReadOnlyError):
            reader.set("k", 1)
    print(f"median {sorted(waits)[100] * 1e6:.0f} us")
    follows(replica, primary)


def test_a_replica_that_joins_later_bootstraps(cluster: Cluster, primary: Daemon) -> None:
    """A replica without data gets the tables, then the log, and says how much it fetched."""
    fill(primary, 3000)
    replica = cluster.replica().start()
    follows(replica, primary)
    last = replica.status()["last_bootstrap"]
    assert last["size_bytes"] == last["fetched_bytes"] > 3000
    fill(primary, 300, start=3000)
    follows(replica, primary)
    eventually(lambda: not list((primary.data / "bootstrap").iterdir()))
    (entry,) = primary.status()["replicas"]
    assert entry["state"] == "streaming"
    eventually(lambda: primary.status()["replicas"][0]["durable_sequence"] == sequence_of(primary))


def test_a_replica_that_missed_rotations_catches_up_from_the_log(cluster: Cluster, primary: Daemon) -> None:
    """Two rotations and an archiving later the log is still enough."""
    replica = cluster.replica().start()
    fill(primary, 10)
    follows(replica, primary)
    assert replica.terminate() == 0
    before = primary.status()["log"]
    fill(primary, 1000, start=10)
    eventually(lambda: primary.status()["log"]["archived"] > before["archived"])
    assert primary.status()["log"]["segments"] > before["segments"] + 2
    replica.start()
    follows(replica, primary)
    assert replica.status()["last_bootstrap"] is None


def test_a_replica_whose_log_is_gone_keeps_its_data_until_the_new_is_there(cluster: Cluster) -> None:
    """It serves its old data, bootstraps again by itself, and at no moment misses a key that it had."""
    forgetful = {"store": {"log_retention_bytes": 0}, "link": {"slot_log_bytes_max": 1000}}
    primary = cluster.primary(tables=forgetful).start()
    replica = cluster.replica().start()
    with primary.client() as client:
        client.set("old", "value")
    follows(replica, primary)
    replica.kill()
    fill(primary, 1000)
    primary.logged("slot.let_go")
    fill(primary, 1000)
    eventually(lambda: primary.status()["log"]["first_sequence"] > 500)
    assert primary.terminate() == 0
    replica.start()
    values: list[bytes | None] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            try:
                with replica.client() as client:
                    values.append(client.get("old"))
            except redis.RedisError:
                pass  # the moment of the swap
            time.sleep(0.002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        eventually(lambda: len(values) > 3)
        primary.start()
        follows(replica, primary)
    finally:
        done.set()
        watcher.join()
    assert set(values) == {b"value"}
    assert replica.status()["last_bootstrap"] is not None
    assert not (replica.data / "bootstrap" / "incoming").exists()


def slow_bootstrap(cluster: Cluster) -> tuple[Daemon, Daemon]:
    """A primary with 10 MB that do not compress, sent within 5 s, and a replica that was not started."""
    primary = cluster.primary(tables={"link": {"copy_bytes_per_second": 2_000_000}}).start()
    with primary.client() as client:
        for number in range(1000):
            client.set(f"random:{number}", random.randbytes(10_000))
    return primary, cluster.replica()


def has_fetched(replica: Daemon, size_bytes: int) -> bool:
    """Whether a bootstrap is under way, and has that much."""
    try:
        bootstrap = replica.status()["bootstrap"]
    except redis.ConnectionError:
        return False
    return bool(bootstrap and bootstrap["size_bytes"] > size_bytes)


def has_fetched_or_ended(replica: Daemon, size_bytes: int) -> bool:
    """Whether a bootstrap has that much, or was over before anybody saw it: a busy machine looks rarely."""
    return has_fetched(replica, size_bytes) or replica.serves()


def test_sigterm_in_the_middle_of_a_bootstrap(cluster: Cluster) -> None:
    """The replica ends with 0 at once, what it fetched is kept, and the next run goes on with it."""
    primary, replica = slow_bootstrap(cluster)
    replica.spawn()
    eventually(lambda: has_fetched(replica, 300_000))
    assert replica.terminate() == 0
    shown = NodeState.read(replica.data)
    assert shown.shown is not None
    assert shown.shown.position is None
    assert str(shown.shown.link).startswith("down")
    assert shown.bootstrap is not None
    assert shown.bootstrap.size_bytes > 300_000
    replica.start()
    follows(replica, primary)
    last = replica.status()["last_bootstrap"]
    assert last["fetched_bytes"] <= last["size_bytes"]
    eventually(lambda: NodeState.read(replica.data).bootstrap is None)


def test_a_bootstrap_survives_kills_of_both(cluster: Cluster) -> None:
    """Killed at any moment of a bootstrap, the replica begins again and ends up right."""
    primary, replica = slow_bootstrap(cluster)
    for size_bytes in (1, 200_000, 400_000):
        replica.spawn()
        eventually(partial(has_fetched_or_ended, replica, size_bytes))
        replica.kill()
    replica.spawn()
    eventually(lambda: has_fetched_or_ended(replica, 600_000))
    primary.kill()
    primary.start()
    eventually(replica.serves)
    follows(replica, primary)


def test_another_database_is_refused(cluster: Cluster) -> None:
    """A replica of one primary that is pointed at another stops, says why, and keeps its data."""
    first = cluster.primary("first").start()
    replica = cluster.replica().start()
    fill(first, 10)
    follows(replica, first)
    digest = replica.digest()
    replica.kill()
    other = cluster.primary("other").start()
    fill(other, 500)
    replica.keys["primary"] = f"127.0.0.1:{cluster.replication_port}"
    replica.configure({})
    replica.start()
    eventually(lambda: replica.status()["link"]["state"] == "stopped")
    link = replica.status()["link"]
    assert link["stopped_code"] == "wrong-database"
    assert other.status()["database_id"] in link["waits_for"]
    # It asks again, rarely; its log says so once, and the primary's each time.
    asked = len(other.events("replication.stopped"))
    eventually(lambda: len(other.events("replication.stopped")) >= asked + 2)
    assert len(replica.events("replication.stopped")) == 1
    assert replica.digest() == digest
    assert replica.status()["database_id"] == first.status()["database_id"]


def test_a_primary_that_lost_writes_does_not_wipe_its_replica(cluster: Cluster, primary: Daemon) -> None:
    """A primary from an older copy of its directory is refused by a replica that is ahead of it."""
    replica = cluster.replica().start()
    fill(primary, 100)
    assert primary.terminate() == 0
    older = primary.data.with_name("older")
    shutil.copytree(primary.data, older)
    primary.start()
    fill(primary, 100, start=100)
    follows(replica, primary)
    digest = replica.digest()
    primary.kill()
    shutil.rmtree(primary.data)
    older.rename(primary.data)
    primary.start()
    eventually(lambda: replica.status()["link"]["state"] == "stopped")
    assert replica.status()["link"]["stopped_code"] == "replica-ahead"
    assert replica.digest() == digest
    fill(primary, 150, start=1000)
    eventually(lambda: replica.status()["link"].get("stopped_code") == "diverged")
    assert replica.digest() == digest


def last_segment(data: Path) -> Path:
    return max((data / "wal").glob("*.log"))


@pytest.mark.parametrize("cut_bytes", [1, 70])
def test_a_truncated_last_frame_of_a_replica_is_streamed_again(
    cluster: Cluster, primary: Daemon, cut_bytes: int
) -> None:
    """A replica that lost the end of its log cuts back to whole frames and gets the rest again."""
    replica = cluster.replica().start()
    with primary.client() as client:
        for number in range(20):
            client.set(f"k{number}", number)
    follows(replica, primary)
    replica.kill()
    segment = last_segment(replica.data)
    content = segment.read_bytes()
    segment.write_bytes(content[:-cut_bytes])
    replica.start()
    follows(replica, primary)
    assert replica.logged("store.recovered")


def test_another_process_reads_the_state(cluster: Cluster, primary: Daemon) -> None:
    """The shown position is readable while the daemon runs and when it is down, never ahead of the data."""
    replica = cluster.replica().start()
    for number in range(10):
        fill(primary, 50, start=number * 50)
        for daemon in (primary, replica):
            shown = NodeState.read(daemon.data).shown
            if shown is not None and shown.position is not None:
                assert Position.parse(shown.position).sequence <= daemon.status()["durable_sequence"]
    follows(replica, primary)
    (slot,) = NodeState.read(primary.data).slots
    assert slot.node_id.hex() == replica.status()["node_id"]
    eventually(lambda: replica.status()["durable_sequence"] == sequence_of(primary))
    position = replica.status()["durable_position"]
    assert replica.terminate() == 0
    shown = NodeState.read(replica.data).shown
    assert shown is not None
    assert (shown.role, shown.position) == ("replica", position)


def test_column_families_follow(cluster: Cluster, primary: Daemon) -> None:
    """Families made before a bootstrap, streamed and dropped are the same on both nodes, digests included."""
    with primary.client() as client:
        for name in ("before", "dropped"):
            client.execute_command("REPLICAD.FAMILY", "CREATE", name)
        client.execute_command("SELECT", 1)
        client.mset({f"k{number}": "1" for number in range(500)})
    replica = cluster.replica().start()
    follows(replica, primary)
    with primary.client() as client, replica.client() as reader:
        client.execute_command("REPLICAD.FAMILY", "CREATE", "streamed")
        client.execute_command("REPLICAD.FAMILY", "DROP", 2)
        client.execute_command("SELECT", 3)
        client.set("k", "of the third")
        follows(replica, primary)
        expected = [[b"default", 0], [b"before", 1], [b"streamed", 3]]
        for node in (client, reader):
            assert node.execute_command("REPLICAD.FAMILY", "LIST") == expected
        reader.execute_command("SELECT", 3)
        assert reader.get("k") == b"of the third"
        digests = [node.execute_command("REPLICAD.DIGEST") for node in (client, reader)]
        assert digests[0] == digests[1]
