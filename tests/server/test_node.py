"""What the server says about its node, on a primary and on a replica."""

from __future__ import annotations

import pytest
import redis

from replicad.server import ReplicaView
from tests.server.conftest import StartServer
from tests.server.harness import FakeNode, RunningServer
from tests.support.waiting import eventually

SECTIONS = ["Server", "Clients", "Memory", "Persistence", "Stats", "Replication", "Keyspace"]


def replica_node() -> FakeNode:
    return FakeNode(role="replica", is_writable=False, primary_address=("10.0.0.1", 6381))


def follower(acknowledged_sequence: int) -> ReplicaView:
    return ReplicaView(
        node_id="n1",
        host="10.0.0.2",
        port=6380,
        state="online",
        acknowledged_sequence=acknowledged_sequence,
    )


def test_info_has_its_sections(client: redis.Redis) -> None:
    """All of them by default, one when asked for one."""
    client.set("k", "v")
    text = client.execute_command("INFO", "everything")
    assert text["redis_version"] and text["role"] == "master" and text["total_commits"] == 1
    assert text["used_memory"] > 0 and text["blocked_clients"] == 0
    assert set(client.info("replication")) >= {"role", "connected_slaves", "position"}
    assert "redis_version" not in client.info("clients")


def test_a_replica_refuses_writes(start: StartServer) -> None:
    """Every command that writes is refused, in a transaction as well; reads are served."""
    server = start(node=replica_node())
    server.store.submit_many([(b"k", b"v")])
    client = redis.Redis(port=server.port)
    for command in [
        "SET k w",
        "DEL absent",
        "INCR n",
        "MSET a 1",
        "SET k w NX",
        "APPEND k x",
        "REPLICAD.LOGDATA x",
    ]:
        with pytest.raises(redis.ReadOnlyError):
            client.execute_command(*command.split())
    with server.connect() as raw:
        raw.send(b"MULTI\r\nGET k\r\nSET k w\r\nEXEC\r\n")
        raw.read(b"+OK\r\n+QUEUED\r\n")
        assert raw.read_line().endswith(b"replica. The primary is 10.0.0.1:6381\r\n")
        assert raw.read_line().startswith(b"-EXECABORT")
    eventually(lambda: client.get("k") == b"v")


def test_a_role_that_changes_is_obeyed_at_once(start: StartServer) -> None:
    """A node that is promoted takes the next write; one that is fenced refuses it, EXEC included."""
    node = replica_node()
    server = start(node=node)
    client = redis.Redis(port=server.port)
    with pytest.raises(redis.ReadOnlyError):
        client.set("k", "v")
    node.is_writable = True
    assert client.set("k", "v") is True
    with server.connect() as raw:
        raw.send(b"MULTI\r\nSET k w\r\n")
        raw.read(b"+OK\r\n+QUEUED\r\n")
        node.is_writable = False
        raw.send(b"EXEC\r\n")
        assert raw.read_line().startswith(b"-READONLY")
    assert client.get("k") == b"v"


def test_role_names_the_others(start: StartServer) -> None:
    """A primary lists its replicas, a replica names its primary."""
    primary = start(node=FakeNode(followers=[follower(7)]))
    assert redis.Redis(port=primary.port).role() == [b"master", 0, [[b"10.0.0.2", b"6380", b"7"]]]
    assert redis.Redis(port=primary.port).info("replication")["slave0"]["offset"] == 7
    replica = start(node=replica_node())
    assert redis.Redis(port=replica.port).role() == [b"slave", b"10.0.0.1", 6381, b"connected", 0]
    info = redis.Redis(port=replica.port).info("replication")
    assert (info["role"], info["master_link_status"], info["master_port"]) == ("slave", "up", 6381)
    assert (info["slave_data_stale"], info["slave_data_stale_reason"]) == (0, "")
    replica.node.stale_because = "a copy is fetched"
    info = redis.Redis(port=replica.port).info("replication")
    assert (info["slave_data_stale"], info["slave_data_stale_reason"]) == (1, "a copy is fetched")


def test_shutdown_asks_the_daemon(server: RunningServer) -> None:
    """The connection ends without a reply; the daemon is told once."""
    with server.connect() as raw:
        raw.command("SHUTDOWN", "NOSAVE")
        assert raw.read_to_end() == b""
    eventually(lambda: server.shutdowns == 1)
