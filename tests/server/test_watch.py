"""WATCH: EXEC happens only if nobody changed a watched key meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from replicad import Options
from replicad.store.database import open_database
from tests.server.conftest import StartServer
from tests.server.harness import RunningServer
from tests.support.waiting import eventually


@pytest.fixture(params=["sync", "async"])
def server(request: pytest.FixtureRequest, start: StartServer, tmp_path: Path) -> RunningServer:
    return start(open_database(tmp_path / "data", Options(durability=request.param)), on_uvloop=True)


@pytest.fixture
def other(server: RunningServer) -> Iterator[redis.Redis]:
    with redis.Redis(port=server.port, socket_timeout=10) as connected:
        yield connected


def test_a_change_makes_exec_answer_nil(server: RunningServer, other: redis.Redis) -> None:
    """Set, deleted, created, or set to what it was: each is a change; nothing of the batch is written."""
    other.mset({"set": "1", "deleted": "1", "same": "1", "quiet": "1"})
    changes: list[tuple[str, Callable[[], object]]] = [
        ("set", lambda: other.set("set", "2")),
        ("deleted", lambda: other.delete("deleted")),
        ("created", lambda: other.set("created", "1")),
        ("same", lambda: other.set("same", "1")),
    ]
    for key, change in changes:
        with server.connect() as raw:
            raw.command("WATCH", "quiet", key)
            raw.read(b"+OK\r\n")
            change()
            raw.send(b"MULTI\r\nSET quiet changed\r\nEXEC\r\nMULTI\r\nGET quiet\r\nEXEC\r\n")
            raw.read(b"+OK\r\n+QUEUED\r\n*-1\r\n+OK\r\n+QUEUED\r\n*1\r\n$1\r\n1\r\n")


def test_what_was_created_and_deleted_is_a_change(server: RunningServer, other: redis.Redis) -> None:
    """In two steps, in one transaction and in one tick, flushed and compacted; deleting nothing is none."""
    changes: list[tuple[str, Callable[[], object], bool]] = [
        ("steps", lambda: (other.set("steps", "1"), other.delete("steps")), True),
        ("atomic", lambda: other.pipeline().set("atomic", "1").delete("atomic").execute(), True),
        ("tick", lambda: other.pipeline(False).set("tick", "1").delete("tick").execute(), True),
        ("nothing", lambda: other.delete("nothing"), False),
    ]
    for key, change, broken in changes:
        with server.connect() as raw:
            raw.command("WATCH", key)
            raw.read(b"+OK\r\n")
            change()
            server.store.compact()
            raw.send(b"MULTI\r\nGET %b\r\nEXEC\r\n" % key.encode())
            raw.read(b"+OK\r\n+QUEUED\r\n" + (b"*-1\r\n" if broken else b"*1\r\n$-1\r\n"))


def test_nobody_is_remembered_who_watches_no_more(server: RunningServer, other: redis.Redis) -> None:
    """EXEC, DISCARD, UNWATCH, RESET and the end of a connection forget its keys."""
    for ending in (b"MULTI\r\nEXEC", b"MULTI\r\nDISCARD", b"UNWATCH", b"RESET", b""):
        with server.connect() as raw:
            raw.send(b"WATCH a b\r\nWATCH b\r\n%b\r\nPING\r\n" % ending)
            while not raw.read_line().startswith(b"+PONG"):
                assert ending or server.server.state.watches._watching.keys() == {b"a", b"b"}
        eventually(lambda: not server.server.state.watches._watching)


def test_without_a_change_exec_happens(server: RunningServer, other: redis.Redis) -> None:
    """Other keys may change, and so may a key that is no longer watched."""
    with server.connect() as raw:
        raw.send(b"WATCH k\r\nGET k\r\n")
        raw.read(b"+OK\r\n$-1\r\n")
        other.set("another", "1")
        raw.send(b"MULTI\r\nSET k 1\r\nEXEC\r\n")
        raw.read(b"+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n")
        for ending, reply in [(b"UNWATCH", b"+OK\r\n"), (b"MULTI\r\nDISCARD", b"+OK\r\n+OK\r\n")]:
            raw.send(b"WATCH k\r\n%b\r\n" % ending)
            raw.read(b"+OK\r\n" + reply)
            other.incr("k")
            raw.send(b"MULTI\r\nGET another\r\nEXEC\r\n")
            raw.read(b"+OK\r\n+QUEUED\r\n*1\r\n$1\r\n1\r\n")


def test_own_writes_count_too(server: RunningServer) -> None:
    """As in Redis, a write of the same connection between WATCH and EXEC is a change; one before is not."""
    with server.connect() as raw:
        raw.send(b"SET k 1\r\nWATCH k\r\nMULTI\r\nSET k 2\r\nEXEC\r\n")
        raw.read(b"+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n")
        raw.send(b"WATCH k\r\nSET k 3\r\nMULTI\r\nSET k 4\r\nEXEC\r\nGET k\r\n")
        raw.read(b"+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n*-1\r\n$1\r\n3\r\n")


def test_the_same_key_of_another_family_is_another_key(server: RunningServer, other: redis.Redis) -> None:
    """The same key of another family is another key; a dropped family is a change."""
    other.execute_command("REPLICAD.FAMILY", "CREATE", "f")
    with server.connect() as raw:
        raw.send(b"WATCH k\r\nSELECT 1\r\nSET k 1\r\nSELECT 0\r\nMULTI\r\nSET k 0\r\nEXEC\r\n")
        raw.read(b"+OK\r\n" * 5 + b"+QUEUED\r\n*1\r\n+OK\r\n")
        raw.send(b"SELECT 1\r\nWATCH k\r\nSELECT 0\r\n")
        raw.read(b"+OK\r\n" * 3)
        other.execute_command("REPLICAD.FAMILY", "DROP", 1)
        raw.send(b"MULTI\r\nSET k 9\r\nEXEC\r\n")
        raw.read(b"+OK\r\n+QUEUED\r\n*-1\r\n")


def test_counting_together_loses_nothing(server: RunningServer) -> None:
    """Read, add one, write if unchanged, from several clients at once: every success counts exactly once."""
    turns, clients = 25, 4

    def count() -> None:
        with redis.Redis(port=server.port, socket_timeout=10) as client, client.pipeline() as pipeline:
            for _ in range(turns):
                while True:
                    try:
                        pipeline.watch("n")
                        value = int(pipeline.get("n") or 0)
                        pipeline.multi()
                        pipeline.set("n", value + 1)
                        pipeline.execute()
                        break
                    except redis.WatchError:
                        continue

    threads = [threading.Thread(target=count) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    with redis.Redis(port=server.port) as client:
        assert client.get("n") == b"%d" % (turns * clients)


def test_what_is_watched_has_a_limit(start: StartServer, tmp_path: Path) -> None:
    """More bytes of keys than one request may have are refused."""
    server = start(open_database(tmp_path / "data", Options()), request_bytes_max=10_000)
    with server.connect() as raw:
        for number in range(2):
            raw.command("WATCH", b"%d" % number * 4000)
            raw.read(b"+OK\r\n")
        raw.command("WATCH", b"3" * 4000)
        raw.read(b"-ERR more is watched than this server accepts\r\n")
