"""CLIENT PAUSE and UNPAUSE."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import pytest
import redis

from tests.server.conftest import StartServer
from tests.server.harness import FakeNode, RawClient, RunningServer
from tests.support.waiting import eventually

LONG_MS = 600_000


def other(server: RunningServer) -> redis.Redis:
    return redis.Redis(port=server.port, socket_timeout=10)


@pytest.mark.parametrize("wanted", ["WRITE", "ALL", None])
def test_what_is_paused_waits_until_unpause(
    client: redis.Redis, server: RunningServer, wanted: str | None
) -> None:
    """WRITE holds writes and EXEC, ALL and no word hold reads too; nothing holds what touches no keys."""
    client.set("k", "before")
    words = [] if wanted is None else [wanted]
    assert client.execute_command("CLIENT", "PAUSE", LONG_MS, *words) in (b"OK", True)
    assert client.ping()
    info = client.info("clients")
    assert info["paused_actions"] == ("write" if wanted == "WRITE" else "all")
    assert 0 < info["paused_timeout_milliseconds"] <= LONG_MS
    if wanted == "WRITE":
        assert client.get("k") == b"before"

    done: list[object] = []
    with other(server) as writer, other(server) as reader, other(server) as together:
        threads = [
            threading.Thread(target=lambda: done.append(writer.set("k", "after"))),
            threading.Thread(target=lambda: done.append(together.pipeline().set("m", 1).execute())),
        ]
        if wanted != "WRITE":
            threads.append(threading.Thread(target=lambda: done.append(reader.get("none"))))
        for thread in threads:
            thread.start()
        eventually(lambda: client.info("clients")["blocked_clients"] == len(threads))
        assert not done
        assert client.execute_command("CLIENT", "UNPAUSE") in (b"OK", True)
        for thread in threads:
            thread.join(10)
    assert len(done) == len(threads)
    assert client.get("k") == b"after" and client.get("m") == b"1"
    assert client.info("clients")["paused_actions"] == "none"


def test_a_pause_ends_by_itself(client: redis.Redis) -> None:
    """When its time is over; what waited keeps its order."""
    client.execute_command("CLIENT", "PAUSE", 50, "WRITE")
    begun = time.monotonic()
    pipeline = client.pipeline(transaction=False)
    assert pipeline.set("k", 1).incr("k").get("k").execute() == [True, 2, b"2"]
    assert time.monotonic() - begun > 0.03


def test_a_second_pause_only_extends_the_first(client: redis.Redis) -> None:
    """The later end and the greater mode count."""
    client.execute_command("CLIENT", "PAUSE", LONG_MS, "ALL")
    client.execute_command("CLIENT", "PAUSE", 1, "WRITE")
    info = client.info("clients")
    assert info["paused_actions"] == "all" and info["paused_timeout_milliseconds"] > LONG_MS / 2
    client.execute_command("CLIENT", "UNPAUSE")


def test_a_pause_is_refused_in_redis_words(client: redis.Redis) -> None:
    """Wrong times and modes."""
    for words, text in (
        (["x"], "timeout is not an integer"),
        (["-1"], "timeout is negative"),
        (["1", "NOTHING"], "must be WRITE or ALL"),
        (["9223372036854775807"], "timeout is not an integer or out of range"),
    ):
        with pytest.raises(redis.ResponseError, match=text):
            client.execute_command("CLIENT", "PAUSE", *words)


def test_what_is_paused_is_not_done_when_the_node_ends(start: StartServer) -> None:
    """An operator who pauses writes and then stops the node finds the data as it was; nothing is
    acknowledged."""
    server = start()
    with other(server) as client, closing(RawClient(server.port)) as raw:
        client.execute_command("CLIENT", "PAUSE", LONG_MS, "WRITE")
        raw.send(b"PING\r\nSET k v\r\nPING\r\n")
        assert raw.read_line() == b"+PONG\r\n"
        server.close()
        assert raw.read_to_end() == b""
    assert server.server.state.stats.commits == 0


def test_clients_that_leave_in_a_pause_are_forgotten(start: StartServer) -> None:
    """What they sent is not executed, and the pause keeps nothing of them."""
    server = start()
    with other(server) as client:
        client.execute_command("CLIENT", "PAUSE", LONG_MS, "ALL")
        with closing(RawClient(server.port)) as raw:
            raw.send(b"PING\r\nSET k v\r\n")
            assert raw.read_line() == b"+PONG\r\n"
            me = client.client_id()
            eventually(lambda: len(client.client_list()) == 2)
            client.execute_command("CLIENT", "KILL", "TYPE", "normal")
            eventually(lambda: [each["id"] for each in client.client_list()] == [str(me)])
        client.execute_command("CLIENT", "UNPAUSE")
        assert client.get("k") is None


def test_a_paused_node_that_is_demoted_sends_its_clients_on(start: StartServer) -> None:
    """What waits is refused at the end of the pause; what comes later hears at once where the primary is."""
    node = FakeNode()
    server = start(node=node)
    with other(server) as client:
        client.execute_command("CLIENT", "PAUSE", LONG_MS, "WRITE")

        def demote() -> None:
            node.role, node.is_writable, node.primary_address = "replica", False, ("127.0.0.1", 1)
            server.server.role_changed()

        server.call(demote)
        eventually(lambda: node.role == "replica")
        with pytest.raises(redis.ReadOnlyError, match=r"127\.0\.0\.1:1"):
            client.set("k", "v")
