"""SLOWLOG, LATENCY, MEMORY and CLIENT KILL."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from replicad.server.slow_log import ENTRIES_MAX, SlowLog, shortened
from tests.server.harness import RunningServer
from tests.support.waiting import eventually


def test_long_requests_are_cut() -> None:
    """As Redis cuts them."""
    assert shortened([b"GET", b"k"]) == (b"GET", b"k")
    assert shortened([b"SET", b"k", b"x" * 130])[2] == b"x" * 128 + b"... (2 more bytes)"
    many = shortened([b"DEL", *[b"k"] * 40])
    assert len(many) == 32 and many[-1] == b"... (10 more arguments)"


def test_the_slow_log_keeps_the_newest_that_were_slow() -> None:
    """Neither what was quick nor what holds a secret, and no more than its room."""
    log = SlowLog(lambda: 5_000_000, 0.01)
    for n, (name, seconds) in enumerate([("keys", 0.02), ("keys", 0.001), ("auth", 1.0), ("scan", 0.5)]):
        log.note(name, [name.encode(), b"%d" % n], seconds, peer="p", client_name=b"n")
    assert [(each.arguments[0], each.microseconds, each.at_seconds) for each in log.entries] == [
        (b"scan", 500_000, 5),
        (b"keys", 20_000, 5),
    ]
    for _ in range(ENTRIES_MAX):
        log.note("del", [b"del"], 1.0, peer="", client_name=b"")
    assert len(log.entries) == ENTRIES_MAX and log.entries[0].id == ENTRIES_MAX + 1


def test_slow_commands_are_shown(client: redis.Redis, server: RunningServer) -> None:
    """With their arguments and who sent them; what comes later is timed to its end."""
    server.server.state.slow_log.slow_seconds = 0.0
    client.execute_command("SLOWLOG RESET")
    client.client_setname("me")
    client.setrange("k", 0, "value")
    client.keys("*")
    length = client.slowlog_len()
    assert length >= 3
    entries = client.slowlog_get(-1)
    found = {entry["command"].split()[0]: entry for entry in entries}
    assert {b"SETRANGE", b"KEYS"} <= set(found)
    assert found[b"SETRANGE"]["command"] == b"SETRANGE k 0 value"
    assert found[b"KEYS"]["client_name"] == b"me" and found[b"KEYS"]["duration"] >= 0
    assert len(client.slowlog_get(2)) == 2
    with pytest.raises(redis.ResponseError, match="greater than or equal to -1"):
        client.execute_command("SLOWLOG", "GET", "-2")


def test_latency_has_cumulative_buckets(client: redis.Redis, server: RunningServer) -> None:
    """By command; one that nobody called is left out."""
    for n in range(5):
        client.set(f"k{n}", n)
        client.get(f"k{n}")
    eventually(lambda: server.server.state.usage.by_group["read"].count >= 5)
    answer = client.execute_command("LATENCY", "HISTOGRAM", "get", "nosuch", "append")
    found = _mapping(answer)
    assert list(found) == [b"get"]
    described = _mapping(found[b"get"])
    assert described[b"calls"] == 5
    counts = list(_mapping(described[b"histogram_usec"]).values())
    assert counts == sorted(counts) and counts[-1] >= 5
    assert {b"get", b"set"} <= set(_mapping(client.execute_command("LATENCY", "HISTOGRAM")))
    assert client.execute_command("LATENCY", "LATEST") == []


def _mapping(answer: object) -> dict[Any, Any]:
    """RESP2 has lists instead."""
    if isinstance(answer, dict):
        return answer
    assert isinstance(answer, list)
    return dict(zip(answer[::2], answer[1::2], strict=True))


def test_memory_usage_is_of_key_and_value(client: redis.Redis) -> None:
    client.set("key", "x" * 1000)
    assert client.memory_usage("key") == 1003
    assert client.memory_usage("key", samples=5) == 1003
    assert client.memory_usage("absent") is None
    with pytest.raises(redis.ResponseError, match="syntax"):
        client.execute_command("MEMORY", "USAGE", "key", "SAMPLES")


def test_connections_are_killed(client: redis.Redis, server: RunningServer) -> None:
    """By their number, address or user; the one that asks is spared unless it says otherwise."""
    others = [redis.Redis(port=server.port, client_name=f"other{n}", socket_timeout=10) for n in range(3)]
    try:
        lines = {}
        for other in others:
            other.ping()
            lines[other.client_info()["name"]] = other.client_info()
        assert client.client_kill_filter(_id=lines["other0"]["id"]) == 1
        assert client.client_kill(lines["other1"]["addr"]) is True
        names = {"other0", "other1"}
        eventually(lambda: not names & {line["name"] for line in client.client_list()})
        assert "other2" in {line["name"] for line in client.client_list()}
        me = client.client_id()
        assert client.execute_command("CLIENT", "KILL", "TYPE", "normal") >= 1
        eventually(lambda: [line["id"] for line in client.client_list()] == [str(me)])
        assert client.execute_command("CLIENT", "KILL", "ID", str(me)) == 0
        assert client.execute_command("CLIENT", "KILL", "ID", str(me), "SKIPME", "no") == 1
        with pytest.raises(redis.ResponseError, match="No such client"):
            client.client_kill("192.0.2.1:1")
        with pytest.raises(redis.ResponseError, match="syntax"):
            client.execute_command("CLIENT", "KILL", "ID", "1", "AGE", "2")
    finally:
        for other in others:
            other.close()
