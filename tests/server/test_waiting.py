"""Waiting for replicas and positions over the wire: what is answered, and what is never claimed."""

from __future__ import annotations

import pytest

from replicad.errors import DiskFullError
from replicad.replication.wire.messages import Ack
from tests.server.conftest import StartServer
from tests.server.harness import FakeNode
from tests.support.waiting import eventually


def holding(node: FakeNode, *acks: tuple[str, int, int, int]) -> None:
    """From any thread: the next look of a waiter finds these."""
    node.acknowledged[:] = [
        (name, name * 32, Ack(received, applied, durable)) for name, received, applied, durable in acks
    ]


def test_wait_counts_replicas_that_show_this_connections_writes(start: StartServer) -> None:
    """As Redis: a count, also when it is less than was asked for."""
    node = FakeNode()
    server = start(node=node)
    with server.connect() as raw:
        raw.send(b"WAIT 0 100\r\nSET k v\r\nWAIT 1 10000\r\nPING\r\n")
        raw.read(b":0\r\n+OK\r\n")
        assert raw.has_nothing_to_read()
        holding(node, ("a", 1, 1, 0))
        server.call(node.waits.changed)
        raw.read(b":1\r\n+PONG\r\n")
        raw.command("WAIT", "2", "20")
        raw.read(b":1\r\n")
        raw.command("WAIT", "1", "-1")
        assert raw.read_line().startswith(b"-ERR ")


def test_waitaof_counts_what_is_on_disk(start: StartServer) -> None:
    """Here, and on replicas: applied is not enough."""
    node = FakeNode()
    server = start(node=node)
    with server.connect() as raw:
        raw.send(b"SET k v\r\n")
        raw.read(b"+OK\r\n")
        holding(node, ("a", 1, 1, 0), ("b", 1, 1, 1))
        raw.command("WAITAOF", "1", "2", "20")
        raw.read(b"*2\r\n:1\r\n:1\r\n")
        raw.command("WAITAOF", "2", "0", "20")
        assert raw.read_line().startswith(b"-ERR ")


@pytest.mark.parametrize("level", ["received", "applied", "durable"])
def test_replicad_wait_says_what_is_true(start: StartServer, level: str) -> None:
    """Enough replicas: position, durable here, and which. Too few: an error that says the same."""
    node = FakeNode()
    server = start(node=node)
    with server.redis() as client:
        client.set("k", "v")
        holding(node, ("a", 1, 0, 0), ("b", 1, 1, 0), ("c", 1, 1, 1))
        expected = {"received": [b"a", b"b", b"c"], "applied": [b"b", b"c"], "durable": [b"c"]}[level]
        count = len(expected)
        position, here, names = client.execute_command("REPLICAD.WAIT", level, count, 100)
        assert (position.split(b":")[1], here, names) == (b"1", 1, expected)
        with pytest.raises(Exception, match=f"is {level} on {count} of 4 replicas .*, durable here"):
            client.execute_command("REPLICAD.WAIT", level, 4, 20)
        with pytest.raises(Exception, match="LEVEL is"):
            client.execute_command("REPLICAD.WAIT", "written", 1, 20)


def test_writes_wait_for_the_replicas_that_the_rule_asks_for(start: StartServer) -> None:
    """The reply comes when the rule holds; reads of others do not wait."""
    node = FakeNode(rule="any 1")
    server = start(node=node)
    with server.connect() as raw, server.redis() as reader:
        raw.send(b"SET k v\r\nGET k\r\n")
        assert raw.has_nothing_to_read()
        assert reader.get("k") == b"v"
        holding(node, ("a", 1, 1, 1))
        server.call(node.waits.changed)
        raw.read(b"+OK\r\n$1\r\nv\r\n")


def test_a_write_whose_replicas_do_not_come_is_no_success(start: StartServer) -> None:
    """After its time it is answered with where it is; reads behind it are answered as they are."""
    node = FakeNode(rule="any 2")
    server = start(node=node)
    holding(node, ("a", 9, 9, 9))
    with server.connect() as raw:
        raw.send(b"SET k v\r\nGET k\r\nMULTI\r\nSET k w\r\nEXEC\r\n")
        line = raw.read_line()
        assert line.startswith(b"-UNCERTAIN 'any 2 durable' was asked for, durable on a; all up to sequence ")
        rest = raw.read_line()
        assert rest.startswith((b"$1", b"-UNCERTAIN"))


def test_a_refused_write_stays_refused_while_others_wait_for_replicas(start: StartServer) -> None:
    """The write before it is in the log and lacks replicas; it is not, and is never said to be."""
    node = FakeNode(rule="any 1")
    server = start(node=node)
    server.store.hold_sync()
    with server.connect() as raw:
        raw.send(b"SET a 1\r\n")
        eventually(lambda: server.store.appended_sequence == 1)
        server.store.refuse_with = DiskFullError("no room")
        raw.send(b"SET b 2\r\n")
        eventually(lambda: server.server.state.group.refusals == 1)
        server.store.release_sync()
        assert raw.read_line().startswith(b"-UNCERTAIN ")
        assert raw.read_line().startswith(b"-ERR no room on disk, nothing was written")


def test_a_connection_may_choose_not_to_wait(start: StartServer) -> None:
    """OFF answers when the write is durable here, for this connection only."""
    node = FakeNode(rule="any 1")
    server = start(node=node)
    with server.redis() as client:
        assert client.execute_command("REPLICAD.SYNCHRONOUS") == [b"on", b"any 1 durable"]
    with server.connect() as raw:
        raw.send(b"REPLICAD.SYNCHRONOUS OFF\r\nSET k v\r\n")
        raw.read(b"+OK\r\n+OK\r\n")


@pytest.mark.parametrize("again", [b"REPLICAD.SYNCHRONOUS ON", b"RESET"])
def test_a_choice_counts_for_the_writes_after_it(start: StartServer, again: bytes) -> None:
    """OFF lets go of no write before it, ON and RESET of none after them, in one pipeline or many."""
    node = FakeNode(rule="any 1")
    server = start(node=node)
    with server.connect() as raw:
        raw.send(b"SET a 1\r\nREPLICAD.SYNCHRONOUS OFF\r\nSET b 2\r\n")
        assert raw.read_line().startswith(b"-UNCERTAIN ")
        raw.read(b"+OK\r\n+OK\r\n")
        raw.send(b"SET c 3\r\n" + again + b"\r\nSET d 4\r\n")
        raw.read(b"+OK\r\n")
        assert raw.read_line() in (b"+OK\r\n", b"+RESET\r\n")
        assert raw.read_line().startswith(b"-UNCERTAIN ")


def test_waitpos_makes_the_next_read_see_a_write(start: StartServer) -> None:
    """A token that is there is answered at once, one to come when it came, a lost one never."""
    server = start()
    with server.redis() as writer, server.connect() as reader:
        writer.set("k", "1")
        token = writer.execute_command("REPLICAD.POSITION").decode()
        reader.command("REPLICAD.WAITPOS", token, "100")
        reader.read(b"+OK\r\n")
        epoch, sequence, _ = token.split(":")
        reader.command("REPLICAD.WAITPOS", f"{epoch}:{int(sequence) + 1}:0000000000000001", "50")
        assert reader.read_line().startswith(b"-NOTYET this node shows ")
        reader.command("REPLICAD.WAITPOS", f"{epoch}:{sequence}:0000000000000001", "50")
        assert reader.read_line().startswith(b"-LOST ")
        reader.command("REPLICAD.WAITPOS", "nonsense", "50")
        assert reader.read_line().startswith(b"-ERR ")


def test_reads_of_old_data_are_refused_and_the_rest_goes_on(start: StartServer) -> None:
    """With the node's reason, in MULTI too; what shows no data still works."""
    node = FakeNode(role="replica", is_writable=False, reads_refused="STALE too old")
    server = start(node=node)
    with server.connect() as raw:
        raw.send(b"GET k\r\nSCAN 0\r\nDBSIZE\r\nPING\r\nMULTI\r\nGET k\r\nEXEC\r\n")
        refused = b"-STALE too old\r\n"
        raw.read(refused * 3 + b"+PONG\r\n+OK\r\n" + refused)
        assert raw.read_line().startswith(b"-EXECABORT")
        node.reads_refused = None
        raw.command("GET", "k")
        raw.read(b"$-1\r\n")


def test_what_was_queued_before_it_was_refused_is_refused_at_exec(start: StartServer) -> None:
    """Reads when the data became doubtful or old, writes when the role changed, naming the primary; nothing
    of the transaction happens."""
    node = FakeNode(role="replica", is_writable=False)
    server = start(node=node)
    with server.connect() as raw:
        raw.send(b"MULTI\r\nPING\r\nGET k\r\n")
        raw.read(b"+OK\r\n" + b"+QUEUED\r\n" * 2)
        node.reads_refused = "DAMAGED not to be trusted"
        raw.send(b"EXEC\r\nMULTI\r\nPING\r\nEXEC\r\n")
        raw.read(b"-DAMAGED not to be trusted\r\n+OK\r\n+QUEUED\r\n*1\r\n+PONG\r\n")
        node.reads_refused, node.role, node.is_writable = None, "primary", True
        raw.send(b"MULTI\r\nGET k\r\nSET k v\r\n")
        raw.read(b"+OK\r\n" + b"+QUEUED\r\n" * 2)
        node.role, node.is_writable, node.primary_address = "replica", False, ("10.0.0.1", 6381)
        raw.send(b"EXEC\r\nGET k\r\n")
        raw.read(b"-READONLY You can't write against a read only replica. The primary is 10.0.0.1:6381\r\n")
        raw.read(b"$-1\r\n")


def test_a_token_taken_on_a_replica_covers_what_was_read_there(start: StartServer) -> None:
    """Also for a connection that wrote here when the node was primary: its own write may be older."""
    node = FakeNode()
    server = start(node=node)
    with server.connect() as raw:
        raw.send(b"SET k v\r\n")
        raw.read(b"+OK\r\n")
        sequence = server.store.submit_many([(b"k", b"newer")])
        eventually(lambda: server.store.latest_sequence >= sequence)
        node.role, node.is_writable = "replica", False
        raw.send(b"GET k\r\nREPLICAD.POSITION\r\n")
        raw.read(b"$5\r\nnewer\r\n")
        raw.read_line()
        assert raw.read_line().decode().strip() == str(server.store.visible_position)
