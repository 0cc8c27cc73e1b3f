"""Commands with subcommands: HELP, unknown ones, and arguments that are obeyed or refused."""

from __future__ import annotations

import pytest
import redis

CONTAINERS = [
    "COMMAND",
    "CONFIG",
    "CLIENT",
    "SENTINEL",
    "REPLICAD.REPLICA",
    "REPLICAD.SLOT",
    "REPLICAD.BACKUP",
    "REPLICAD.FAMILY",
]


@pytest.mark.parametrize("container", CONTAINERS)
def test_help_names_every_subcommand(client: redis.Redis, container: str) -> None:
    """A line for each and one for what it does; an unknown one points to it."""
    lines = client.execute_command(f"{container} HELP")
    assert lines[0].decode().startswith(f"{container} <subcommand>") and b"HELP" in lines
    with pytest.raises(redis.ResponseError, match=f"Try {container} HELP"):
        client.execute_command(f"{container} NONSENSE")
    with pytest.raises(redis.ResponseError, match="wrong number of arguments"):
        client.execute_command(f"{container} HELP", "x")


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("CLIENT NO-EVICT nonsense", "syntax"),
        ("CLIENT LIST TYPE nonsense", "Unknown client type"),
        ("CLIENT LIST ID x", "Invalid client ID"),
        ("CLIENT LIST nonsense", "syntax"),
        ("CONFIG RESETSTAT x", "wrong number"),
        ("COMMAND COUNT x", "wrong number"),
        ("COMMAND LIST FILTERBY nonsense x", "syntax"),
        ("SHUTDOWN SAVE NOSAVE", "syntax"),
        ("WAIT 0 x", "timeout is not an integer or out of range"),
        ("WAIT 0 -1", "timeout is negative"),
        ("GETEX k EX 5", "expiry is not supported"),
        ("GETEX k NONSENSE", "syntax"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(client: redis.Redis, command: str, error: str) -> None:
    """They are not ignored."""
    with pytest.raises(redis.ResponseError, match=error):
        client.execute_command(*command.split())


def test_arguments_are_obeyed(client: redis.Redis) -> None:
    """Filters choose, and what concerns expiry answers as Redis does where nothing expires."""
    me = client.client_id()
    assert [line["id"] for line in client.client_list(client_id=[me])] == [str(me)]
    assert client.client_list(_type="replica") == []
    names = client.execute_command("COMMAND LIST", "FILTERBY", "PATTERN", "ge*")
    assert {b"get", b"getex"} <= set(names) and b"set" not in names
    assert b"set" in client.execute_command("COMMAND LIST", "FILTERBY", "ACLCAT", "write")
    assert client.execute_command("SET", "k", "v", "KEEPTTL") in (b"OK", True)
    assert client.execute_command("GETEX", "k") == b"v"
    assert client.execute_command("GETEX", "k", "PERSIST") == b"v"
    assert client.execute_command("PERSIST", "k") == 0
    assert (client.execute_command("EXPIRETIME", "k"), client.ttl("absent")) == (-1, -2)
    info = client.info("everything")
    hello = client.execute_command("HELLO")
    version = hello[b"version"] if isinstance(hello, dict) else hello[hello.index(b"version") + 1]
    assert version.decode() == info["redis_version"]
    assert info["cluster_enabled"] == 0 and info["keyspace_hits"] == 0
    client.mget("k")
    client.get("k")
    assert client.info("stats")["keyspace_hits"] == 2
