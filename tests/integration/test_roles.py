"""Roles that change in running processes: promotion, fencing, a primary that stood still, restarts."""

from __future__ import annotations

import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from replicad.cli.main import main
from replicad.daemon.roles.promotion import STEP
from replicad.env import Env
from replicad.state import NodeState
from tests.support.nodes.daemons import Cluster, Daemon, follows, sequence_of
from tests.support.waiting import eventually

pytestmark = pytest.mark.long

QUICK = {"roles": {"stood_still_seconds": 0.5, "ask_seconds": 0.5, "meet_seconds": 0.1}}


def standing(daemon: Daemon) -> str:
    try:
        return str(daemon.status()["standing"])
    except redis.RedisError:
        return "down"


def fill(daemon: Daemon, first: int, count: int) -> None:
    with daemon.client() as client:
        for number in range(first, first + count):
            client.set(f"key:{number}", number)


def joins(node: Daemon, primary: Daemon) -> None:
    """Waits until the node has the primary's position, whatever it had before, and compares digests."""

    def has_joined() -> bool:
        try:
            return bool(node.status()["position"] == primary.status()["position"])
        except redis.RedisError:
            return False  # the moment of a swap

    eventually(has_joined)
    follows(node, primary)


def pair(cluster: Cluster) -> tuple[Daemon, Daemon]:
    primary = cluster.primary(tables=QUICK).start()
    replica = cluster.replica(tables=QUICK).start()
    fill(primary, 0, 50)
    follows(replica, primary)
    eventually(lambda: len(primary.status()["peers"]) == 1)
    return primary, replica


def test_a_promoted_replica_takes_over(cluster: Cluster) -> None:
    """After the primary's death the replica is promoted by the command line, takes writes, and stays primary
    through a restart, with either verb; the old one comes back as its replica by itself."""
    primary, replica = pair(cluster)
    primary.kill()
    assert main(["promote", f"127.0.0.1:{replica.port}"]) == 0
    assert replica.status()["role"] == "primary"
    assert replica.status()["epoch"] > STEP
    fill(replica, 50, 50)
    replica.kill()
    replica.start()
    assert replica.logged("role.remembered")
    eventually(lambda: standing(replica) == "primary")
    fill(replica, 100, 50)
    primary.start()
    eventually(lambda: standing(primary) == "following")
    joins(primary, replica)
    with primary.client() as client, pytest.raises(redis.ReadOnlyError, match=f":{replica.port}"):
        client.set("k", "v")
    fill(replica, 150, 50)
    joins(primary, replica)
    with replica.client() as client:
        assert client.dbsize() >= 0
        assert client.role()[0] == b"master"
        assert client.info("replication")["connected_slaves"] == 1


def test_promoting_beside_a_primary_that_answers_needs_force(cluster: Cluster) -> None:
    """Without force nothing changes; with it the old primary is fenced at once, and follows."""
    primary, replica = pair(cluster)
    with replica.client() as client:
        with pytest.raises(redis.ResponseError, match="switchover"):
            client.execute_command("REPLICAD.PROMOTE")
        with pytest.raises(redis.ResponseError, match="switchover"):
            client.execute_command("REPLICAOF", "NO", "ONE")
        assert standing(replica) == "following"
        client.execute_command("REPLICAD.PROMOTE", "FORCE")
    eventually(lambda: standing(primary) == "following")
    fill(replica, 50, 10)
    joins(primary, replica)
    with primary.client() as client, pytest.raises(redis.ReadOnlyError):
        client.set("k", "v")


def test_a_promotion_that_would_lose_acknowledged_writes_says_which(cluster: Cluster) -> None:
    """A replica that was stopped while the primary wrote on knows of that from its last words."""
    primary, replica = pair(cluster)
    at = sequence_of(replica)
    replica.terminate()
    state = NodeState.read(replica.data)
    assert state.role is not None
    assert state.role.primary_sequence == at
    primary.kill()
    writer = NodeState(Env(), replica.data)
    writer.put_role(replace(state.role, primary_sequence=at + 7))
    writer.close()
    replica.start()
    with replica.client() as client:
        with pytest.raises(redis.ResponseError, match=f"{at + 1} to {at + 7}"):
            client.execute_command("REPLICAD.PROMOTE")
        assert b"lost" in client.execute_command("REPLICAD.PROMOTE", "FORCE")
        client.set("k", "v")


def test_a_primary_that_stood_still_acknowledges_nothing_more(cluster: Cluster, tmp_path: Path) -> None:
    """Writes that wait in its sockets while another is promoted are never acknowledged there; its tail is
    saved, counted and cut off, and it follows within seconds."""
    primary, replica = pair(cluster)
    replica.kill()
    with primary.client() as client:
        for number in range(5):
            client.set(f"tail:{number}", number)
    primary.stop()
    stopped = time.monotonic()
    replica.start()
    with replica.client() as client:
        client.execute_command("REPLICAD.PROMOTE", "FORCE")
        client.set("new", "side")
    waiting = []
    for number in range(4):
        connection = socket.create_connection(("127.0.0.1", primary.port))
        connection.sendall(b"SET late:%d x\r\n" % number)
        waiting.append(connection)
    eventually(lambda: time.monotonic() - stopped > 2 * QUICK["roles"]["stood_still_seconds"])
    primary.go_on()
    for connection in waiting:
        connection.settimeout(15)
        answer = connection.recv(4096)
        assert not answer.startswith(b"+OK"), answer
        connection.close()
    eventually(lambda: standing(primary) == "following")
    joins(primary, replica)
    with primary.client() as client:
        assert client.get("new") == b"side"
        assert client.get("tail:0") is None
    discarded = primary.status()["discarded"]
    assert discarded["batches"] >= 5
    for file in discarded["files"]:
        assert main(["inspect", file]) == 0


def test_a_fenced_primary_stays_fenced_through_a_restart(cluster: Cluster) -> None:
    """While the new primary cannot be found it refuses writes, whichever verb starts it, and then follows."""
    primary, replica = pair(cluster)
    with replica.client() as client:
        client.execute_command("REPLICAD.PROMOTE", "FORCE")
    replica_address = replica.status()["replication"]
    eventually(lambda: standing(primary) == "following")
    replica.kill()
    primary.kill()
    primary.start()
    assert primary.status()["role"] == "replica"
    assert primary.status()["primary"] == replica_address
    with primary.client() as client, pytest.raises(redis.ReadOnlyError):
        client.set("k", "v")
    replica.start()
    eventually(lambda: primary.status()["link"]["state"] == "streaming")
    fill(replica, 50, 10)
    joins(primary, replica)
    eventually(lambda: primary.status()["fenced_by_epoch"] is None)


def test_a_tail_that_reached_tables_is_saved_and_replaced_by_a_copy(cluster: Cluster) -> None:
    """Where the log cannot be cut the replaced primary saves its tail, fetches what differs, and follows."""
    primary, replica = pair(cluster)
    fill(primary, 0, 50)
    follows(replica, primary)
    replica.kill()
    with primary.client() as client:
        for number in range(1500):
            client.set(f"tail:{number}", b"x" * 100)
    eventually(lambda: list(primary.data.glob("*.sst")) != [])
    primary.kill()
    replica.start()
    with replica.client() as client:
        client.execute_command("REPLICAD.PROMOTE", "FORCE")
    fill(replica, 100, 10)
    primary.start()
    joins(primary, replica)
    assert primary.status()["discarded"]["batches"] == 1500
    assert primary.status()["last_bootstrap"] is not None


def test_a_primary_that_is_alone_waits_where_it_was_told_to(cluster: Cluster) -> None:
    """With `when_alone = "wait"` a primary that starts acknowledges nothing until a node that it knows says
    that nobody took its place; reads go on."""
    primary, replica = pair(cluster)
    primary.kill()
    replica.kill()
    primary.configure({"roles": {**QUICK["roles"], "when_alone": "wait"}})
    primary.start()
    assert standing(primary) == "doubting"
    with socket.create_connection(("127.0.0.1", primary.port)) as writer, primary.client() as reader:
        writer.sendall(b"SET k v\r\n")
        primary.logged("role.alone")
        assert reader.get("key:1") == b"1"
        assert standing(primary) == "doubting"
        replica.start()
        writer.settimeout(15)
        assert writer.recv(100) == b"+OK\r\n"
    assert standing(primary) == "primary"
    joins(replica, primary)


def test_two_primaries_that_only_a_replica_of_one_knows_meet(cluster: Cluster) -> None:
    """A replica of a replica is promoted, and knows nothing of the primary but what its own says: that one is
    told, and fenced."""
    primary, replica = pair(cluster)
    cluster.replication_port = int(replica.status()["replication"].rpartition(":")[2])
    last = cluster.replica("last", tables=QUICK).start()
    follows(last, primary)
    last.ask("REPLICAD.PROMOTE", "FORCE")
    eventually(lambda: standing(primary) == "following")
    fill(last, 50, 10)
    joins(primary, last)
    joins(replica, last)
