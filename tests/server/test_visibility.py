"""Replies wait for the visible sequence number, and a command sees its predecessors."""

from __future__ import annotations

import pytest
import redis

from replicad.errors import DiskFullError, PoisonedError
from tests.server.conftest import StartServer
from tests.server.harness import FakeNode
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("both_wires")


def test_a_write_is_acknowledged_when_it_is_durable(start: StartServer) -> None:
    """While the sync is under way the writer waits, and others see the old state."""
    server = start()
    server.store.hold_sync()
    with server.connect() as writer, server.connect() as reader:
        writer.command("SET", "k", "v")
        eventually(lambda: server.store.appended_sequence == 1)
        assert writer.has_nothing_to_read()
        reader.command("GET", "k")
        reader.read(b"$-1\r\n")
        server.store.release_sync()
        writer.read(b"+OK\r\n")
        reader.command("GET", "k")
        reader.read(b"$1\r\nv\r\n")


def test_a_connection_reads_its_own_writes_and_waits(start: StartServer) -> None:
    """A read behind a write that is not durable shows it, and its reply comes when it is."""
    server = start()
    server.store.hold_sync()
    with server.connect() as client:
        client.command("SET", "k", "v")
        eventually(lambda: server.store.appended_sequence == 1)
        client.command("GET", "k")
        client.command("PING")
        assert client.has_nothing_to_read()
        server.store.release_sync()
        client.read(b"+OK\r\n$1\r\nv\r\n+PONG\r\n")


def test_a_condition_is_evaluated_against_the_newest_state(start: StartServer) -> None:
    """Another connection's INCR counts on from what is not durable yet, and both replies wait."""
    server = start()
    server.store.hold_sync()
    with server.connect() as first, server.connect() as second:
        first.command("INCR", "n")
        eventually(lambda: server.store.appended_sequence == 1)
        second.command("SETNX", "n", "9")
        second.command("INCR", "n")
        eventually(lambda: server.store.appended_sequence == 2)
        assert second.has_nothing_to_read() and first.has_nothing_to_read()
        server.store.release_sync()
        first.read(b":1\r\n")
        second.read(b":0\r\n:2\r\n")


def test_a_condition_that_writes_nothing_waits_too(start: StartServer) -> None:
    """A SET NX that finds a key shows a state, so its answer waits for it."""
    server = start()
    server.store.hold_sync()
    with server.connect() as first, server.connect() as second:
        first.command("SET", "k", "v")
        eventually(lambda: server.store.appended_sequence == 1)
        second.command("SET", "k", "w", "NX")
        second.command("DEL", "absent")
        assert second.has_nothing_to_read()
        server.store.release_sync()
        second.read(b"$-1\r\n:0\r\n")


def test_under_async_nothing_waits_for_the_disk(start: StartServer) -> None:
    """A write is visible, and acknowledged, when it is in the log."""
    server = start(durability="async")
    server.store.hold_sync()
    client = redis.Redis(port=server.port)
    assert client.set("k", "v") is True
    assert client.get("k") == b"v"
    assert server.store.durable_sequence == 0


def test_a_pipeline_commits_in_one_group(start: StartServer) -> None:
    """Reads and conditions in between do not part the group; each write stays a batch of its own."""
    server = start()
    with server.connect() as client:
        client.send(b"SET n 1\r\nGET n\r\nINCR n\r\nGET n\r\nDEL n\r\nGET n\r\nSET n 5\r\nMGET n x\r\n")
        client.read(b"+OK\r\n$1\r\n1\r\n:2\r\n$1\r\n2\r\n:1\r\n$-1\r\n+OK\r\n*2\r\n$1\r\n5\r\n$-1\r\n")
    assert server.store.groups == [4]
    assert server.store.appended_sequence == 4


def test_a_refused_group_fails_what_depends_on_it(start: StartServer) -> None:
    """On a full disk, writes and reads that saw them are errors; other reads and later writes work."""
    server = start()
    client = redis.Redis(port=server.port)
    client.set("old", "1")
    server.store.refuse_with = DiskFullError("no space left")
    pipeline = client.pipeline(transaction=False)
    pipeline.get("old").set("k", "v").get("k").get("old").incr("old").ping()
    results = pipeline.execute(raise_on_error=False)
    refused = [isinstance(result, redis.ResponseError) for result in results]
    assert refused == [False, True, True, False, True, False]
    assert "no room on disk" in str(results[1])
    server.store.refuse_with = None
    assert client.get("k") is None
    assert client.set("k", "v") is True


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't start new thread")])
def test_a_group_that_fails_in_an_unforeseen_way_is_answered(start: StartServer, error: Exception) -> None:
    """Its clients hear that nobody knows what became of it, and later writes work."""
    server = start()
    client = redis.Redis(port=server.port, socket_timeout=20, retry=None)
    server.store.refuse_with = error
    with pytest.raises(redis.ResponseError, match="outcome of this write is unknown"):
        client.set("k", "v")
    server.store.refuse_with = None
    assert client.set("k", "v") is True


def test_a_failed_store_acknowledges_nothing(start: StartServer) -> None:
    """Writes under way when a sync fails are errors that say so."""
    server = start()
    server.store.hold_sync()
    with server.connect() as client:
        client.command("SET", "k", "v")
        eventually(lambda: server.store.appended_sequence == 1)
        server.store.fail(PoisonedError("fdatasync: EIO"))
        assert client.read_line().startswith(b"-UNCERTAIN storage failed, the outcome of this write")


def test_writes_that_waited_when_the_store_failed_are_refused(start: StartServer) -> None:
    """Those that were held back, and each one after them on the same connection; the server ends cleanly."""
    server = start()
    server.node.held = True
    with server.connect() as client:
        client.command("SET", "k", "1")
        assert client.has_nothing_to_read()
        server.store.refuse_with = PoisonedError("fdatasync: EIO")
        server.store.fail(server.store.refuse_with)
        assert client.read_line().startswith(b"-UNCERTAIN storage failed")
        for _ in range(2):
            client.send(b"SET k 2\r\nGET k\r\n")
            assert client.read_line().startswith(b"-UNCERTAIN storage failed")
            assert client.read_line().startswith(b"-UNCERTAIN storage failed")
    assert server.store.appended_sequence == 0
    assert not server.server.state.group.batches


def test_nothing_is_read_while_the_store_stalls(start: StartServer) -> None:
    """Commands that come during a stall are executed after it."""
    server = start()
    with server.connect() as client:
        client.command("PING")
        client.read(b"+PONG\r\n")
        server.store.stall("level 0 is full")
        eventually(lambda: server.server.state.committer.stalled)
        client.command("SET", "k", "v")
        assert client.has_nothing_to_read()
        assert server.store.appended_sequence == 0
        server.store.stall(None)
        client.read(b"+OK\r\n")


def test_a_store_that_refuses_writes_is_read(start: StartServer) -> None:
    """With a full disk sockets are read on: writes are told why they fail, reads are answered."""
    server = start()
    with server.connect() as client:
        client.command("SET", "k", "v")
        client.read(b"+OK\r\n")
        server.store.refused = "the disk is full"
        server.store.refuse_with = DiskFullError("the disk is full")
        server.store.stall("the disk is full")
        client.command("SET", "k", "w")
        assert client.read_line().startswith(b"-ERR no room on disk")
        client.command("GET", "k")
        client.read(b"$1\r\nv\r\n")


def test_replies_under_way_survive_a_clean_end(start: StartServer) -> None:
    """A client that closes its side still gets every reply."""
    server = start()
    server.store.hold_sync()
    with server.connect() as client:
        client.send(b"SET k v\r\nGET k\r\n")
        client.socket.shutdown(1)
        eventually(lambda: server.store.appended_sequence == 1)
        server.store.release_sync()
        assert client.read_to_end() == b"+OK\r\n$1\r\nv\r\n"


def test_a_fenced_primary_acknowledges_nothing_that_waits(start: StartServer) -> None:
    """What is in its log and was not answered is answered as unknown, also when it becomes durable then."""
    node = FakeNode()
    server = start(node=node)
    server.store.hold_sync()
    with server.connect() as client:
        client.command("SET", "k", "v")
        eventually(lambda: server.store.appended_sequence == 1)

        def change() -> None:
            # On the loop, as a node does: in another thread it could come into the middle of the commit.
            node.role, node.is_writable, node.primary_address = "replica", False, ("10.0.0.1", 6381)
            server.server.role_changed()
            server.store.release_sync()

        server.call(change)
        assert client.read_line().startswith(b"-UNCERTAIN another node became primary; the outcome of this")


def test_a_primary_that_doubts_answers_no_write(start: StartServer) -> None:
    """Until it knows that nobody took its place, what is durable waits as well; reads are answered."""
    node = FakeNode()
    server = start(node=node)
    server.store.hold_sync()
    with server.connect() as writer, server.connect() as reader:
        writer.command("SET", "k", "v")
        eventually(lambda: server.store.appended_sequence == 1)
        node.doubting = True
        server.store.release_sync()
        eventually(lambda: server.store.latest_sequence == 1)
        assert writer.has_nothing_to_read()
        reader.command("GET", "k")
        reader.read(b"$1\r\nv\r\n")
        node.doubting = False
        server.call(server.server.role_changed)
        writer.read(b"+OK\r\n")
