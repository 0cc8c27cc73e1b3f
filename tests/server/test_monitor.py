"""MONITOR."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import closing
from typing import Any

import pytest
import redis

from replicad.server.monitors import quoted
from tests.server.conftest import StartServer
from tests.server.harness import RawClient, RunningServer
from tests.support.waiting import eventually


def test_words_are_quoted_as_redis_quotes_them() -> None:
    """Printable characters stay; quotes, ends of lines and bytes are escaped."""
    assert quoted(b"abc ~") == b'"abc ~"'
    assert quoted(b'a"b\\\r\n\t\x00\xff') == b'"a\\"b\\\\\\r\\n\\t\\x00\\xff"'


def test_commands_of_all_clients_are_shown(client: redis.Redis, server: RunningServer) -> None:
    """Simple ones, which the kernel executes otherwise, and those of a transaction; not what is refused."""
    with client.monitor() as monitor:
        with redis.Redis(port=server.port, socket_timeout=10) as busy:
            busy.set("k", "v\n")
            busy.pipeline().incr("n").get("k").execute()
            with pytest.raises(redis.RedisError):
                busy.incr("k")
            with pytest.raises(redis.RedisError):
                busy.execute_command("NONSENSE")
            with closing(server.connect()) as raw:
                raw.command("AUTH", "secret")
                assert raw.read_line().startswith(b"-ERR")
            busy.config_set("clients.slow_seconds", "1")
            busy.execute_command("REPLICAD.BACKUP", "CREATE", "TARGET", "s3://user:secret@host/x")
            busy.execute_command("ECHO", "end")
        shown: list[dict[str, Any]] = []
        while not shown or shown[-1]["command"] != "ECHO end":
            shown.append(monitor.next_command())
    commands = [each["command"] for each in shown]
    assert [each for each in commands if not each.startswith(("CLIENT", "HELLO"))] == [
        "SET k v\\n",
        "MULTI",
        "INCRBY n 1",
        "GET k",
        "EXEC",
        "INCRBY k 1",
        "ECHO end",
    ]
    assert not any("secret" in each for each in commands)
    assert shown[-1]["client_address"] == "127.0.0.1" and shown[-1]["db"] == 0


def test_reset_ends_it(start: StartServer) -> None:
    """The kernel executes simple commands by itself again."""
    server = start()
    with closing(RawClient(server.port)) as raw, redis.Redis(port=server.port, socket_timeout=10) as client:
        raw.send(b"MONITOR\r\n")
        assert raw.read_line() == b"+OK\r\n"
        assert [each["flags"] for each in client.client_list()][:1] == ["O"]
        lines = iter(raw.read_line, b"")
        assert any(line.endswith(b'"CLIENT" "LIST"\r\n') for line in lines)
        raw.send(b"RESET\r\n")
        assert b"+RESET\r\n" in iter(raw.read_line, b"")
        client.set("k", "v")
        raw.send(b"PING\r\n")
        assert raw.read_line() == b"+PONG\r\n"


def test_it_is_no_part_of_a_transaction(client: redis.Redis) -> None:
    """As in Redis."""
    with pytest.raises(redis.ResponseError, match=r"not allowed in transactions|inside MULTI"):
        client.pipeline().execute_command("MONITOR").execute()


@pytest.mark.usefixtures("both_wires")
def test_one_that_does_not_read_is_closed(start: StartServer) -> None:
    """So that it does not take the memory of the node."""
    server = start(output_bytes_max=1 << 20)
    with closing(RawClient(server.port)) as raw, redis.Redis(port=server.port, socket_timeout=10) as client:
        raw.send(b"MONITOR\r\n")
        assert raw.read_line() == b"+OK\r\n"

        def is_closed() -> bool:
            pipeline = client.pipeline(transaction=False)
            for _ in range(2_000):
                pipeline.mget(["x" * 120] * 30)
            pipeline.execute()
            return len(client.client_list()) == 1

        eventually(is_closed, seconds=60)


@pytest.mark.skipif(shutil.which("redis-cli") is None, reason="*** redis-cli is not installed ***")
def test_redis_cli_shows_them(start: StartServer) -> None:
    """`redis-cli monitor` prints a line for each command."""
    server = start()
    process = subprocess.Popen(
        ["redis-cli", "-p", str(server.port), "monitor"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "OK\n"
        with redis.Redis(port=server.port, socket_timeout=10) as client:
            client.set("k", "v")
        lines = iter(process.stdout.readline, "")
        assert next(line for line in lines if '"SET"' in line).endswith('] "SET" "k" "v"\n')
    finally:
        process.kill()
        process.wait()
