"""CONFIG and REPLICAD.RELOAD, as clients see them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import redis

from replicad.errors import ConfigError
from tests.server.conftest import StartServer
from tests.server.harness import FakeNode


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


@pytest.fixture
def asking(start: StartServer, node: FakeNode) -> Iterator[redis.Redis]:
    """A client of that node."""
    with redis.Redis(port=start(node=node).port, socket_timeout=10) as client:
        yield client


def test_get_shows_our_keys_and_what_redis_clients_ask_for(asking: redis.Redis) -> None:
    """By patterns."""
    assert asking.config_get("save") == {"save": ""}
    assert asking.config_get("append*", "maxclients") == {"appendonly": "yes", "maxclients": "10000"}
    assert asking.config_get("slowlog-log-slower-than") == {"slowlog-log-slower-than": "10000"}
    assert asking.config_get("store.*") == {"store.compression": "lz4"}
    assert asking.config_get("nosuch") == {}


def test_set_changes_all_or_nothing(asking: redis.Redis, node: FakeNode) -> None:
    """Names of Redis are changed under our name and in our unit."""
    assert asking.config_set("CLIENTS.Clients_Max", 5, "link.synchronous", "any 1")
    assert asking.config_set("maxclients", "7", "slowlog-log-slower-than", "2500")
    assert node.changed == {
        "clients.clients_max": "7",
        "link.synchronous": "any 1",
        "clients.slow_seconds": "0.0025",
    }
    for words, text in (
        (["clients.clients_max", "no"], "CONFIG SET failed - it does not take no"),
        (["slowlog-log-slower-than", "x"], "CONFIG SET failed - x is not a number of microseconds"),
        (["a.b", "1", "A.B", "2"], "a name is there twice"),
        (["clients.clients_max", "1", "maxclients", "2"], "a name is there twice"),
        (["a.b", "1", "c.d"], "wrong number of arguments for 'config|set'"),
    ):
        with pytest.raises(redis.ResponseError, match=text.replace("|", r"\|")):
            asking.execute_command("CONFIG", "SET", *words)
    assert node.changed["clients.clients_max"] == "7"


def test_rewrite_keeps_what_was_set(asking: redis.Redis, node: FakeNode) -> None:
    """Or says why not."""
    assert asking.config_rewrite()
    node.keeps_settings = False
    with pytest.raises(redis.ResponseError, match="CONFIG REWRITE failed - nothing was changed"):
        asking.config_rewrite()


def test_a_reload_says_what_it_changed(asking: redis.Redis, node: FakeNode) -> None:
    """As JSON; a configuration that is wrong is an error that says why."""
    found = {"changed": ["clients.clients_max"], "needs_restart": ["listen"]}
    node.reloads += [found, ConfigError("p.toml:3: lisen is not a key")]
    assert json.loads(asking.execute_command("REPLICAD.RELOAD")) == found
    with pytest.raises(redis.ResponseError, match=r"the old configuration stays: p\.toml:3: lisen is not"):
        asking.execute_command("REPLICAD.RELOAD")
