"""Clients that we did not write follow a failover: nobody tells them where the new primary is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.sentinel import Sentinel

from replicad.cli.demonstration.ports import HOST
from tests.integration.test_haproxy import Proxy, port_behind, role, roles_of_reads, writes
from tests.support.etcd.servers import needs_etcd
from tests.support.ioredis import VERSIONS, Client, needs_ioredis
from tests.support.nodes.elected import SERVICE, Elected, elected
from tests.support.waiting import eventually

pytestmark = [needs_etcd, pytest.mark.long]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Elected]:
    with elected(tmp_path) as made:
        yield made


def test_redis_py_goes_on_writing_through_a_failover(cluster: Elected) -> None:
    """Its `Sentinel` knows the three client ports, and nothing else. What was acknowledged is there."""
    old = cluster.leader()
    assert old is not None
    sentinel = Sentinel(
        [cluster.address(node) for node in cluster.nodes],
        sentinel_kwargs={"socket_timeout": 10},
        socket_timeout=10,
    )
    primary = sentinel.master_for(SERVICE)
    acknowledged = []

    def write(number: int) -> bool:
        try:
            primary.set(f"k{number}", number)
        except redis.RedisError:
            return False
        acknowledged.append(number)
        return True

    for number in range(50):
        assert write(number)
    assert sentinel.discover_master(SERVICE) == (HOST, old.port)
    assert len(sentinel.discover_slaves(SERVICE)) == 2

    old.kill()
    eventually(lambda: write(50))
    for number in range(51, 100):
        assert write(number)
    new = cluster.leader()
    assert new is not None and new is not old
    with new.client() as client:
        assert [client.get(f"k{number}") for number in acknowledged] == [b"%d" % n for n in acknowledged]

    # The former primary comes back by itself, as a replica.
    old.start()
    eventually(cluster.is_settled)
    assert cluster.leader() is new
    assert old.status()["role"] == "replica"


@needs_ioredis
@pytest.mark.parametrize("version", VERSIONS)
def test_ioredis_follows_a_failover(cluster: Elected, version: str) -> None:
    """In sentinel mode. No command of the application's fails: it waits for the new primary.

    A killed primary closes the connection by itself. ioredis's `failoverDetector` is for one that lives on
    (`tests/server/test_sentinel.py`): a message that comes while it connects ends the client for good."""
    old = cluster.leader()
    assert old is not None
    client = Client(
        version,
        sentinels=[cluster.address(node) for node in cluster.nodes],
        name=SERVICE,
        role="master",
        failoverDetector=False,
        protocol=3 if version == "ioredis-6" else None,
    )
    try:
        assert client.do("set", "k", "before") == "OK"
        assert client.do("connectedTo") == old.port
        old.kill()
        assert client.do("set", "k", "after") == "OK"
        new = cluster.leader()
        assert new is not None and new is not old
        assert client.do("connectedTo") == new.port
        assert client.do("get", "k") == "after"
    finally:
        client.end()


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="*** haproxy is not installed ***")
def test_haproxy_follows_a_failover(cluster: Elected, tmp_path: Path) -> None:
    """By HTTP `/primary`: a node that does not know whether it leads is not written to."""
    old = cluster.leader()
    assert old is not None
    proxy = Proxy(
        tmp_path, [(node.port, int(node.keys["http"].rpartition(":")[2])) for node in cluster.nodes]
    )
    try:
        eventually(lambda: role(proxy.writes) == "master")
        eventually(lambda: writes(proxy, "before"))
        old.kill()
        eventually(lambda: writes(proxy, "after"))
        new = cluster.leader()
        assert new is not None and new is not old
        eventually(lambda: port_behind(proxy.writes) == new.port)
        eventually(lambda: roles_of_reads(proxy) == {"slave"})
    finally:
        proxy.end()
