"""The keyspace: existence, deletion, enumeration, counting."""

from __future__ import annotations

import pytest
import redis

from tests.server.conftest import StartServer
from tests.server.harness import wait_for


def test_deleting_counts_what_was_there(client: redis.Redis) -> None:
    """DEL and EXISTS count; a key named twice is deleted once, and exists twice."""
    client.mset({"a": 1, "b": 2, "c": 3})
    assert client.exists("a", "a", "absent") == 2
    assert client.touch("a", "absent") == 1
    assert client.delete("a", "a", "absent") == 1
    assert client.unlink("b", "c") == 2
    assert client.delete("a", "b", "c") == 0
    assert client.get("b") is None


def test_type_and_ttl(client: redis.Redis) -> None:
    """There are only strings, and none of them expires."""
    client.set("k", "v")
    assert (client.type("k"), client.type("absent")) == (b"string", b"none")
    assert (client.ttl("k"), client.ttl("absent"), client.pttl("k")) == (-1, -2, -1)


def test_keys_match_patterns(client: redis.Redis) -> None:
    """KEYS returns every match once."""
    client.mset({f"user:{i}": i for i in range(50)} | {"other": 1})
    assert sorted(client.keys("user:1?")) == [b"user:1%d" % i for i in range(10)]
    assert len(client.keys()) == 51
    assert client.keys("*r") == [b"other"]
    assert client.keys("nothing*") == []


@pytest.mark.parametrize("count", [1, 7, 1000])
def test_a_scan_sees_every_key_once(client: redis.Redis, count: int) -> None:
    """From cursor 0 to cursor 0, whatever COUNT and MATCH say."""
    keys = {b"%s:%d" % (kind, i) for kind in (b"a", b"b") for i in range(40)} | {b"", b"\xff\xff"}
    client.mset(dict.fromkeys(keys, b"v"))
    found = list(client.scan_iter(count=count))
    assert sorted(found) == sorted(keys)
    assert sorted(client.scan_iter(match="a:*", count=count)) == sorted(k for k in keys if k[:2] == b"a:")
    assert sorted(client.scan_iter(match="*:1", count=count)) == [b"a:1", b"b:1"]
    assert list(client.scan_iter(match="\\ÿ*", count=count, _type="hash")) == []


def test_a_scan_goes_on_while_keys_come_and_go(client: redis.Redis) -> None:
    """A key that was there all the time is returned, although others were written between the pages."""
    client.mset({f"k{i:03}": i for i in range(100)})
    cursor, found = client.scan(0, count=10)
    while cursor:
        client.delete(found[-1])
        client.set("k000-new", 1)
        cursor, page = client.scan(cursor, count=10)
        found += page
    assert {b"k%03d" % i for i in range(100)} <= set(found)


def test_cursors_come_from_a_bounded_table(start: StartServer) -> None:
    """The oldest cursor is dropped when there are too many, and its user is told."""
    server = start(cursors_max=3)
    client = redis.Redis(port=server.port)
    client.mset({f"k{i}": i for i in range(10)})
    first, _ = client.scan(0, count=2)
    for _ in range(3):
        client.scan(0, count=2)
    with pytest.raises(redis.ResponseError, match="invalid cursor"):
        client.scan(first)
    with pytest.raises(redis.ResponseError, match="invalid cursor"):
        client.scan("1_0")
    assert len(server.server.cursors) == 3


def test_dbsize_counts_what_is_there(client: redis.Redis) -> None:
    """The count follows writes, the connection's own included, and INFO shows it."""
    assert client.dbsize() == 0
    client.mset({f"k{i}": i for i in range(25)})
    assert client.dbsize() == 25
    client.delete("k3")
    assert client.dbsize() == 24
    assert client.dbsize() == 24
    assert client.info("keyspace")["db0"]["keys"] == 24


def test_a_pipeline_counts_and_lists_its_own_writes(client: redis.Redis) -> None:
    """Commands that run in a thread wait for the writes before them and hold back those behind them."""
    pipeline = client.pipeline(transaction=False)
    pipeline.set("a", 1).dbsize().set("b", 2).keys().delete("a").keys().get("b")
    results = pipeline.execute()
    assert results[1] == 1
    assert sorted(results[3]) == [b"a", b"b"]
    assert results[5:] == [[b"b"], b"2"]


def test_snapshots_are_closed(start: StartServer) -> None:
    """Whatever ran on a snapshot gave it back."""
    server = start()
    client = redis.Redis(port=server.port)
    client.set("k", "v")
    client.keys()
    client.dbsize()
    client.scan()
    client.execute_command("REPLICAD.DIGEST")
    assert len(server.store.snapshots) >= 4
    wait_for(lambda: all(snapshot.closed for snapshot in server.store.snapshots))
