"""The keyspace: existence, deletion, enumeration, counting."""

from __future__ import annotations

import pytest
import redis

from replicad.server.cursors import Cursors
from tests.server.conftest import StartServer
from tests.support.waiting import eventually


def test_deleting_counts_what_was_there(client: redis.Redis) -> None:
    """DEL and EXISTS count; a key named twice is deleted once, and exists twice."""
    client.mset({"a": 1, "b": 2, "c": 3})
    assert client.exists("a", "a", "absent") == 2
    assert client.touch("a", "absent") == 1
    assert client.delete("a", "a", "absent") == 1
    assert client.unlink("b", "c") == 2
    assert client.delete("a", "b", "c") == 0
    assert client.get("b") is None


def test_keys_are_strings_that_do_not_expire(client: redis.Redis) -> None:
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


def test_a_cursor_means_the_same_however_many_others_there_are(start: StartServer) -> None:
    """One that is not remembered, of before a restart or crowded out, goes on where it was."""
    server = start()
    client = redis.Redis(port=server.port)
    keys = {b"k%02d" % number for number in range(40)}
    client.mset(dict.fromkeys(keys, b"v"))
    cursor, found = client.scan(0, count=7)
    seen = set(found)
    while cursor:
        server.server.state.cursors = Cursors(bytes_max=0)
        cursor, page = client.scan(cursor, count=7)
        seen |= set(page)
    assert seen == keys


def test_a_cursor_of_a_key_that_went_loses_no_key(start: StartServer) -> None:
    """Whether it is remembered or not, and whatever number a client makes up."""
    server = start()
    client = redis.Redis(port=server.port)
    keys = {b"k%02d" % number for number in range(40)}
    client.mset(dict.fromkeys(keys, b"v"))
    for forgotten in (False, True):
        cursor, found = client.scan(0, count=10)
        client.delete("k10")
        if forgotten:
            server.server.state.cursors = Cursors(bytes_max=0)
        seen = {*found, *client.scan(cursor, count=100)[1]}
        assert seen >= keys - {b"k10"}
        client.set("k10", "v")
    assert set(client.scan(12345, count=100)[1]) == keys
    with pytest.raises(redis.ResponseError, match="invalid cursor"):
        client.scan("1_0")


def test_what_is_remembered_of_cursors_is_bounded() -> None:
    """By bytes, whatever the length of the keys; the one used longest ago goes first."""
    cursors = Cursors(bytes_max=1000)
    kept = [cursors.keep(b"%03d" % number * 20) for number in range(20)]
    assert cursors.remembered_bytes <= 1000
    assert cursors.find(kept[0]) is None and cursors.find(kept[-1]) == b"019" * 20
    assert cursors.keep(b"019" * 20) == kept[-1] and cursors.remembered_bytes <= 1000


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
    eventually(lambda: all(snapshot.closed for snapshot in server.store.snapshots))
