"""Acknowledgement levels, synchronous writes, tokens and staleness, on real nodes."""

from __future__ import annotations

import threading

import pytest
import redis

from tests.support.nodes.daemons import Cluster, Daemon, follows
from tests.support.nodes.load import fill
from tests.support.waiting import eventually


def named(cluster: Cluster, name: str, **link: object) -> Daemon:
    replica = cluster.replica(name)
    replica.keys["name"] = name
    replica.configure({"link": link})
    return replica


def streaming(primary: Daemon, count: int) -> bool:
    return [row["state"] for row in primary.status()["replicas"]].count("streaming") == count


def test_synchronous_writes_wait_and_tell_the_truth(cluster: Cluster) -> None:
    """With "any 1" a write is answered while a replica follows; without one it is an error, and it stays."""
    link = {"synchronous": "any 1 of (a, b)", "synchronous_seconds_max": 0.5}
    primary = cluster.primary(tables={"link": link}).start()
    with primary.client() as client:
        with pytest.raises(redis.ResponseError, match=r"UNCERTAIN 'any 1 of .a, b. durable' was asked for"):
            client.set("alone", 1)
        assert client.get("alone") == b"1"
        a = named(cluster, "a").start()
        eventually(lambda: streaming(primary, 1))
        assert client.set("k", 1)
        position, here, names = client.execute_command("REPLICAD.WAIT", "durable", 1, 5000)
        assert (position, here, names) == (client.execute_command("REPLICAD.POSITION"), 1, [b"a"])
        # Not one write that was acknowledged is missing on the replica after the primary is gone.
        for number in range(100):
            client.set(f"n:{number}", number)
    primary.kill()
    with a.client() as client:
        assert client.mget([f"n:{number}" for number in range(100)]) == [b"%d" % n for n in range(100)]


def test_first_waits_for_the_one_that_stands_first(cluster: Cluster) -> None:
    """While it is connected and stopped, the other does not count; when it is gone, it does."""
    link = {"synchronous": "first 1 of (a, b)", "synchronous_seconds_max": 0.3, "idle_seconds": 1.5}
    primary = cluster.primary(tables={"link": link}).start()
    a, b = named(cluster, "a").start(), named(cluster, "b").start()
    eventually(lambda: streaming(primary, 2))
    with primary.client() as client:
        client.set("k", 1)
        a.stop()
        try:
            with pytest.raises(redis.ResponseError, match="durable on b"):
                client.set("k", 2)
            eventually(lambda: streaming(primary, 1))
            client.set("k", 3)
        finally:
            a.go_on()
    follows(a, primary)
    follows(b, primary)


def test_a_token_makes_the_next_read_on_a_replica_see_the_write(cluster: Cluster, primary: Daemon) -> None:
    """Read your writes, 100 times, on a replica that is behind as often as not."""
    replica = cluster.replica().start()
    with primary.client() as writer, replica.client() as reader:
        for number in range(100):
            writer.set("k", number)
            token = writer.execute_command("REPLICAD.POSITION")
            reader.execute_command("REPLICAD.WAITPOS", token, 5000)
            assert reader.get("k") == b"%d" % number
        assert writer.execute_command("WAIT", 1, 5000) == 1
        assert writer.execute_command("WAITAOF", 1, 1, 5000) == [1, 1]
        (row,) = primary.status()["replicas"]
        assert row["lag_batches"] == row["lag_bytes"] == row["lag_seconds"] == 0
        assert {"received_age_seconds", "applied_age_seconds", "durable_age_seconds"} <= row.keys()


def test_lag_is_true_while_a_replica_stands_still_and_when_idle(cluster: Cluster, primary: Daemon) -> None:
    """It grows with time and bytes while the replica is stopped, and is 0 afterwards, without any write."""
    replica = cluster.replica().start()
    fill(primary, 100)
    follows(replica, primary)
    replica.stop()
    try:
        fill(primary, 500)
        eventually(lambda: primary.status()["replicas"][0]["lag_seconds"] > 1.0)
        row = primary.status()["replicas"][0]
        assert row["lag_bytes"] > 100_000
        assert row["state"] == "away" or row["lag_batches"] == 500
    finally:
        replica.go_on()

    def is_zero() -> bool:
        row = primary.status()["replicas"][0]
        lag = [row["lag_bytes"], row["lag_seconds"], row["lag_batches"]]
        return row["state"] == "streaming" and not any(lag)

    eventually(is_zero)
    link = replica.status()["link"]
    assert link["lag_seconds"] == 0
    eventually(lambda: replica.status()["link"]["staleness_seconds"] < 0.5)


def test_a_replica_refuses_rather_than_shows_old_data(cluster: Cluster, primary: Daemon) -> None:
    """Over max_staleness reads are errors until it follows again; with stale_reads = refuse, at once."""
    limited = named(cluster, "limited", max_staleness_seconds=0.5).start()
    refusing = named(cluster, "refusing", stale_reads="refuse").start()
    fill(primary, 10)
    follows(limited, primary)
    with limited.client() as first, refusing.client() as second:
        eventually(lambda: streaming(primary, 2))
        assert first.get("key:1") == second.get("key:1")
        primary.stop()
        try:
            with pytest.raises(redis.ResponseError, match="STALE this replica's data may be"):
                while True:
                    first.get("key:1")
            assert second.get("key:1") is not None, "its link is not known to be broken yet"
            with pytest.raises(redis.exceptions.MasterDownError, match="does not follow its primary"):
                while True:
                    second.get("key:1")
        finally:
            primary.go_on()

        def answers() -> bool:
            try:
                return bool(first.get("key:1") == second.get("key:1"))
            except redis.ResponseError:
                return False

        eventually(answers)


def test_what_a_connection_reads_never_goes_back(cluster: Cluster, primary: Daemon) -> None:
    """Over breaks of the link, kills and catching up, a reader's connection sees a counter only grow."""
    replica = cluster.replica().start()
    done = threading.Event()
    seen: list[int] = []
    written: list[int] = []

    def write() -> None:
        with primary.client() as client:
            while not done.is_set():
                written.append(int(client.incr("n")))

    def read() -> None:
        with replica.client() as client:
            while not done.is_set():
                seen.append(int(client.get("n") or 0))

    threads = [threading.Thread(target=function) for function in (write, read)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            count = len(set(seen)) + 10
            eventually(lambda count=count: len(set(seen)) > count)  # type: ignore[misc]
            replica.stop()
            ahead = len(written) + 50
            eventually(lambda ahead=ahead: len(written) > ahead)  # type: ignore[misc]
            replica.go_on()
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert seen == sorted(seen)
