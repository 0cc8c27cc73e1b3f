"""What a reader may rely on, on real nodes: tokens hold, nothing read goes back, old data says so."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

import pytest
import redis

from replicad.cli.demonstration.ports import HOST
from tests.integration.test_roles import joins, pair
from tests.support.nodes.daemons import Cluster, Daemon, follows
from tests.support.nodes.load import fill
from tests.support.waiting import eventually


class Reader(threading.Thread):
    """Reads a counter, one connection after another: what each connection saw is a list of its own."""

    def __init__(self, node: Daemon) -> None:
        super().__init__()
        self._node = node
        self.ending = threading.Event()
        self.seen: list[list[int]] = [[]]

    def run(self) -> None:
        while not self.ending.is_set():
            with (
                contextlib.suppress(OSError, EOFError),
                socket.create_connection((HOST, self._node.port), 10) as connection,
                connection.makefile("rb") as replies,
            ):
                if self.seen[-1]:
                    self.seen.append([])
                while not self.ending.is_set():
                    connection.sendall(b"GET n\r\n")
                    length = replies.readline()
                    if not length.startswith(b"$"):
                        raise EOFError
                    self.seen[-1].append(0 if length == b"$-1\r\n" else int(replies.readline()))

    def __enter__(self) -> Reader:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ending.set()
        self.join()

    def sees(self, wanted: Callable[[int], bool]) -> Callable[[], bool]:
        return lambda: bool(self.seen[-1]) and wanted(self.seen[-1][-1])


def test_nothing_goes_back_when_a_new_copy_is_put_in_place(cluster: Cluster) -> None:
    """The swap ends the connections, and what the next ones see is not older."""
    link = {"slot_log_bytes_max": 20_000}
    primary = cluster.primary(tables={"link": link, "store": {"log_retention_bytes": 0}}).start()
    replica = cluster.replica().start()
    with primary.client() as writer:
        writer.set("n", 1)
        follows(replica, primary)
        with Reader(replica) as reader:
            eventually(reader.sees(lambda n: n == 1))
            replica.stop()
            try:
                fill(primary, 2000)
                eventually(lambda: primary.status()["log"]["first_sequence"] > 1000)
                writer.set("n", 2)
            finally:
                replica.go_on()
            eventually(reader.sees(lambda n: n == 2))
    assert len(replica.events("bootstrap.finished")) == 2
    assert sum(map(len, reader.seen)) > 1
    whole = [n for seen in reader.seen for n in seen]
    assert whole == sorted(whole)
    for seen in reader.seen:
        assert len(set(seen)) <= 1, "one connection saw the old data or the new, never both"


def test_a_rewound_history_is_never_seen_by_a_connection_of_before(cluster: Cluster) -> None:
    """A fenced primary whose tail is cut shows older values than it did: to new connections only."""
    primary, replica = pair(cluster)
    with primary.client() as writer:
        writer.set("n", 1)
        follows(replica, primary)
        replica.kill()
        for number in range(2, 7):
            writer.set("n", number)
    with Reader(primary) as reader:
        eventually(reader.sees(lambda n: n == 6))
        primary.stop()  # so that it cannot send the tail before the replica is promoted
        try:
            replica.start()
            replica.ask("REPLICAD.PROMOTE", "FORCE")
        finally:
            primary.go_on()
        eventually(reader.sees(lambda n: n == 1))
    joins(primary, replica)
    assert primary.logged("replication.discarded")
    for seen in reader.seen:
        assert seen == sorted(seen)


def test_a_token_holds_across_a_failover(cluster: Cluster) -> None:
    """One of a write that the new primary has is there on every node; one of a write that it lost is LOST
    everywhere, also under another write's number; one of the new history comes to the old primary."""
    primary, replica = pair(cluster)
    with primary.client() as writer:
        writer.set("kept", 1)
        kept = writer.execute_command("REPLICAD.POSITION")
        follows(replica, primary)
        with replica.client() as reader:
            assert reader.get("kept") == b"1"
            seen = reader.execute_command("REPLICAD.POSITION")
        replica.kill()
        writer.set("lost", 1)
        lost = writer.execute_command("REPLICAD.POSITION")
    primary.kill()
    replica.start()
    with replica.client() as client:
        client.execute_command("REPLICAD.PROMOTE", "FORCE")
        for number in range(10):
            client.set("new", number)
        new = client.execute_command("REPLICAD.POSITION")
    primary.start()
    joins(primary, replica)
    for node in (primary, replica):
        with node.client() as client:
            for token in (kept, seen, new):
                assert client.execute_command("REPLICAD.WAITPOS", token, 5000) == b"OK"
            with pytest.raises(redis.ResponseError, match="LOST"):
                client.execute_command("REPLICAD.WAITPOS", lost, 5000)
            assert (client.get("kept"), client.get("lost"), client.get("new")) == (b"1", None, b"9")


def test_a_token_waits_through_a_failover(cluster: Cluster) -> None:
    """A reader that waits at a replica for a write of the next epoch gets it, though the switch of roles
    happens while it waits."""
    primary, replica = pair(cluster)
    with primary.client() as old, replica.client() as new:
        old.execute_command("REPLICAD.SWITCHOVER", "TIMEOUT", "5000")
        for number in range(100):
            new.set("n", number)
            token = new.execute_command("REPLICAD.POSITION")
            assert old.execute_command("REPLICAD.WAITPOS", token, 10_000) == b"OK"
            assert old.get("n") == b"%d" % number


def test_tokens_of_reads_on_one_replica_hold_on_another(cluster: Cluster) -> None:
    """What was read at one replica is not older at another one, once the token was waited for."""
    primary = cluster.primary().start()
    first, second = cluster.replica("first").start(), cluster.replica("second").start()
    with primary.client() as writer, first.client() as one, second.client() as two:
        writer.set("n", 0)
        follows(first, primary)
        follows(second, primary)
        for number in range(1, 100):
            writer.set("n", number)
            read = int(one.get("n"))
            token = one.execute_command("REPLICAD.POSITION")
            two.execute_command("REPLICAD.WAITPOS", token, 5000)
            assert int(two.get("n")) >= read


def test_old_data_says_that_it_is_old(cluster: Cluster) -> None:
    """INFO and the status tell why, while it is over its age, and not any more when the replica follows."""
    primary = cluster.primary().start()
    replica = cluster.replica(tables={"link": {"max_staleness_seconds": 0.5}}).start()
    fill(primary, 10)
    follows(replica, primary)
    with replica.client() as client:

        def is_stale() -> bool:
            return bool(client.info("replication")["slave_data_stale"])

        eventually(lambda: not is_stale())
        assert replica.status()["link"]["stale_because"] is None
        primary.stop()
        try:
            eventually(is_stale)
            assert "0.5 s is configured" in str(client.info("replication")["slave_data_stale_reason"])
            assert "0.5 s is configured" in replica.status()["link"]["stale_because"]
            assert client.info("replication")["slave_reads_refused"] == 1
        finally:
            primary.go_on()
        eventually(lambda: not is_stale())


def test_a_replica_that_fetches_a_new_copy_says_that_its_data_is_old(cluster: Cluster) -> None:
    """It serves what it has meanwhile, marked as stale with the reason."""
    link = {"slot_log_bytes_max": 20_000, "copy_bytes_per_second": 1_000}
    primary = cluster.primary(tables={"link": link, "store": {"log_retention_bytes": 0}}).start()
    replica = cluster.replica().start()
    fill(primary, 10)
    follows(replica, primary)
    replica.kill()
    fill(primary, 2000)
    eventually(lambda: primary.status()["log"]["first_sequence"] > 1000)
    replica.start()
    with replica.client() as client:
        eventually(lambda: "new copy" in str(replica.status()["link"].get("stale_because")))
        info = client.info("replication")
        assert (info["slave_data_stale"], info["master_sync_in_progress"], info["slave_reads_refused"]) == (
            1,
            1,
            0,
        )
        assert client.get("key:1") is not None
        assert client.get("key:1999") is None
    with primary.client() as client:
        client.execute_command("REPLICAD.THROTTLE", "0")
    follows(replica, primary)
    eventually(lambda: replica.status()["link"].get("stale_because", "") is None)
