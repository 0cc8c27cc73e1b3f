"""How old the data of replicas may be: of a replica of a replica, and after histories parted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from replicad.cli.demonstration.ports import HOST, free_ports
from tests.support.nodes.daemons import Cluster, Daemon, follows
from tests.support.nodes.proxy import Proxy
from tests.support.waiting import eventually, stays

pytestmark = pytest.mark.long

LIMITED = {"link": {"max_staleness_seconds": 0.5, "idle_seconds": 20.0}}
ROLES = {"stood_still_seconds": 0.5, "ask_seconds": 0.5, "meet_seconds": 0.1}


def read(daemon: Daemon, key: str = "k") -> bytes | None:
    """What it shows; None while it refuses."""
    try:
        with daemon.client() as client:
            return bytes(client.get(key) or b"")
    except redis.ResponseError as error:
        assert str(error).startswith("STALE")
        return None


def shows(daemon: Daemon, value: bytes) -> Callable[[], bool]:
    def look() -> bool:
        try:
            return read(daemon) == value
        except redis.ConnectionError:
            return False  # the moment of a swap

    return look


def position(daemon: Daemon) -> str | None:
    try:
        return str(daemon.status()["position"])
    except redis.ConnectionError:
        return None


def test_old_data_is_old_at_a_replica_of_a_replica(cluster: Cluster) -> None:
    """While the one above hears nothing of the primary, both refuse reads, though they hear each other."""
    primary = cluster.primary().start()
    proxy = Proxy(cluster.replication_port)
    (port,) = free_ports(1)
    above, below = cluster.replica("above", LIMITED), cluster.replica("below", LIMITED)
    above.keys |= {"primary": f"{HOST}:{proxy.port}", "replication": f"{HOST}:{port}"}
    below.keys["primary"] = f"{HOST}:{port}"
    for replica in (above, below):
        replica.configure(LIMITED)
        replica.start()
    with primary.client() as client:
        client.set("k", "old")
        for replica in (above, below):
            follows(replica, primary)
            eventually(shows(replica, b"old"))
        proxy.silent = True
        client.set("k", "new")
    eventually(lambda: read(above) is None and read(below) is None)
    # What the two hear of each other shows nowhere; in this time they have heard each other five times.
    stays(lambda: read(above) is None and read(below) is None, 0.5)
    proxy.silent = False
    proxy.cut()
    for replica in (above, below):
        eventually(shows(replica, b"new"))
    proxy.close()


def test_a_node_that_was_rewound_is_fresh_again(cluster: Cluster) -> None:
    """A replica whose primary went back to another's history shows data again as soon as it follows."""
    tables = {"roles": ROLES}
    primary = cluster.primary(tables=tables).start()
    other = cluster.replica("other", tables).start()
    replica = cluster.replica("replica", {**LIMITED, "roles": {"meet_seconds": 60.0}}).start()
    with primary.client() as client:
        client.set("k", "0")
        follows(other, primary)
        eventually(lambda: len(primary.status()["peers"]) == 2)
        other.kill()
        for number in range(50):
            client.set("k", number)
    follows(replica, primary)
    primary.stop()
    replica.stop()
    other.start()
    other.ask("REPLICAD.PROMOTE", "FORCE")
    primary.go_on()
    eventually(lambda: position(primary) == position(other) is not None)
    replica.go_on()
    eventually(shows(replica, b"0"))
    eventually(lambda: replica.status()["link"]["state"] == "streaming")
    # Twice the age that it refuses to show: it would refuse if its data did not stay fresh.
    stays(lambda: read(replica) == b"0", 1.0)
