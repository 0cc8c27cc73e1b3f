"""MULTI and EXEC: one batch, nothing in between, or nothing at all."""

from __future__ import annotations

import pytest
import redis

from tests.server.conftest import StartServer
from tests.server.harness import FakeNode, RunningServer
from tests.support.waiting import eventually


def test_a_transaction_commits_as_one_batch(client: redis.Redis, server: RunningServer) -> None:
    """Each command sees those before it; the log has one batch of all of them."""
    client.set("k", "0")
    before = server.store.appended_sequence
    pipeline = client.pipeline(transaction=True)
    pipeline.set("k", "1").incr("k").get("k").append("k", "x").delete("k", "absent").get("k").setnx("k", "9")
    assert pipeline.execute() == [True, 2, b"2", 2, 1, None, True]
    assert client.get("k") == b"9"
    updates = client.execute_command("REPLICAD.UPDATES", before + 1, 10, "BLOCK", 5000)
    assert len(updates) == 1
    assert [operation[0] for operation in updates[0][5]] == [1, 1, 1, 2, 1]


def test_an_error_inside_leaves_the_others(client: redis.Redis) -> None:
    """As in Redis, a command that fails when it runs does not undo the rest."""
    pipeline = client.pipeline(transaction=True)
    pipeline.set("k", "text").incr("k").set("after", "1")
    results = pipeline.execute(raise_on_error=False)
    assert results[0] is True and isinstance(results[1], redis.ResponseError) and results[2] is True
    assert client.mget("k", "after") == [b"text", b"1"]


REFUSED = [
    ("NOSUCH", "x"),
    ("GET",),
    ("REPLICAD.DIGEST",),
    ("EXPIRE", "k", "5"),
    ("SETEX", "k", "5", "v"),
    ("SET", "k", "v", "NX", "EX", "10"),
    ("SET", "k", "v", "NX", "XX"),
    ("SET", "k", "v", "NONSENSE"),
    ("GETEX", "k", "EX", "5"),
    ("MSET", "k", "v", "other"),
    ("FLUSHDB",),
    ("RANDOMKEY",),
    ("SCAN", "x"),
    ("SCAN", "0", "COUNT", "0"),
    ("CONFIG", "FOO"),
    ("CONFIG", "SET", "maxmemory"),
    ("CLIENT", "UNBLOCK", "1"),
    ("CLIENT", "NO-EVICT", "nonsense"),
    ("COMMAND", "NONSENSE"),
    ("REPLICAD.SLOT", "NONSENSE", "1"),
    ("WAIT", "0", "-1"),
]


def test_keys_are_walked_over_within_exec(server: RunningServer) -> None:
    """KEYS, SCAN and DBSIZE see what the transaction wrote before them, WAIT does not wait."""
    with server.connect() as raw:
        for command in (
            ("MSET", "a", "1", "b", "2", "c", "3"),
            ("MULTI",),
            ("DEL", "b"),
            ("SET", "d", "4"),
            ("KEYS", "*"),
            ("DBSIZE",),
            ("SCAN", "0"),
            ("WAIT", "0", "0"),
            ("EXEC",),
        ):
            raw.command(*command)
        raw.read(b"+OK\r\n" + b"+OK\r\n" + b"+QUEUED\r\n" * 6)
        keys = b"*3\r\n$1\r\na\r\n$1\r\nc\r\n$1\r\nd\r\n"
        raw.read(b"*6\r\n:1\r\n+OK\r\n" + keys + b":3\r\n" + b"*2\r\n$1\r\n0\r\n" + keys + b":0\r\n")


def test_a_broken_queue_is_discarded(server: RunningServer) -> None:
    """An unknown command, a wrong number of arguments, or one that cannot queue aborts EXEC."""
    for wrong in REFUSED:
        with server.connect() as raw:
            raw.command("MULTI")
            raw.read(b"+OK\r\n")
            raw.command("SET", "k", "v")
            raw.read(b"+QUEUED\r\n")
            raw.command(*wrong)
            assert raw.read_line().startswith(b"-ERR "), wrong
            raw.command("EXEC")
            raw.read(b"-EXECABORT Transaction discarded because of previous errors.\r\n")
            raw.command("GET", "k")
            raw.read(b"$-1\r\n")


def test_a_batch_that_the_store_refuses_leaves_nothing(client: redis.Redis) -> None:
    """A key beyond the limit aborts the whole EXEC."""
    pipeline = client.pipeline(transaction=True)
    pipeline.set("a", "1").set(b"k" * 65537, "v").set("b", "2")
    with pytest.raises(redis.exceptions.ExecAbortError):
        pipeline.execute()
    assert client.mget("a", "b") == [None, None]
    assert client.set("a", "1") is True


def test_the_order_of_the_words(server: RunningServer) -> None:
    """EXEC and DISCARD need MULTI, MULTI does not nest, WATCH comes before it, an empty EXEC is empty."""
    with server.connect() as raw:
        for command, reply in [
            ("EXEC", b"-ERR EXEC without MULTI\r\n"),
            ("DISCARD", b"-ERR DISCARD without MULTI\r\n"),
            ("MULTI", b"+OK\r\n"),
            ("WATCH k", b"-ERR WATCH inside MULTI is not allowed\r\n"),
            ("MULTI", b"-ERR MULTI calls can not be nested\r\n"),
            ("EXEC", b"*0\r\n"),
            ("MULTI", b"+OK\r\n"),
            ("SET k v", b"+QUEUED\r\n"),
            ("DISCARD", b"+OK\r\n"),
            ("GET k", b"$-1\r\n"),
        ]:
            raw.command(*command.split())
            raw.read(reply)


def test_transactions_in_a_pipeline(server: RunningServer) -> None:
    """Several transactions and single commands in one piece come out in order."""
    with server.connect() as raw:
        raw.send(b"MULTI\r\nSET k 1\r\nEXEC\r\nINCR k\r\nMULTI\r\nINCR k\r\nGET k\r\nEXEC\r\nGET k\r\n")
        raw.read(
            b"+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n:2\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:3\r\n$1\r\n3\r\n$1\r\n3\r\n"
        )


def test_a_queue_has_a_limit(start: StartServer) -> None:
    """More bytes than one request may have are refused while queueing."""
    server = start(request_bytes_max=10_000)
    with server.connect() as raw:
        raw.command("MULTI")
        raw.read(b"+OK\r\n")
        for _ in range(3):
            raw.command("SET", "k", b"v" * 4000)
        raw.read(b"+QUEUED\r\n+QUEUED\r\n-ERR the transaction is larger than this server accepts\r\n")
        raw.command("EXEC")
        assert raw.read_line().startswith(b"-EXECABORT")


def test_reads_on_a_replica_are_of_one_moment(start: StartServer) -> None:
    """EXEC on a node that others write to reads from a snapshot."""
    server = start(node=FakeNode(role="replica", is_writable=False, primary_address=("127.0.0.1", 6381)))
    sequence = server.store.submit_many([(b"a", b"1"), (b"b", b"2")])
    eventually(lambda: server.store.latest_sequence >= sequence)
    client = redis.Redis(port=server.port)
    pipeline = client.pipeline(transaction=True)
    pipeline.get("a").get("b")
    assert pipeline.execute() == [b"1", b"2"]
    eventually(lambda: [snapshot.closed for snapshot in server.store.snapshots] == [True])


def test_exec_with_an_argument_ends_the_transaction(server: RunningServer) -> None:
    """As in Redis: nothing of it happens, and the next command is executed at once."""
    with server.connect() as raw:
        raw.send(b"MULTI\r\nSET k v\r\nEXEC now\r\nGET k\r\n")
        raw.read(b"+OK\r\n+QUEUED\r\n")
        assert raw.read_line().startswith(b"-EXECABORT Transaction discarded because of: wrong number")
        raw.read(b"$-1\r\n")
