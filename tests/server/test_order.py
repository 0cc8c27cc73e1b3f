"""One reply to each command, in the commands' order, whatever a command in the middle brings about."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

import pytest

from replicad import Options
from replicad.replication.wire.messages import Ack
from replicad.store.database import open_database
from tests.server.conftest import StartServer
from tests.server.harness import FakeNode, RunningServer, encode_request
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("both_wires")


@pytest.fixture(params=["sync", "async"])
def real(request: pytest.FixtureRequest, start: StartServer, tmp_path: Path) -> RunningServer:
    durability: Literal["sync", "async"] = request.param
    return start(open_database(tmp_path / "data", Options(durability=durability)), on_uvloop=True)


def test_a_command_that_ends_the_group_does_not_end_the_turn(real: RunningServer) -> None:
    """WATCH sends the writes before it to the store, whose replies may go at once; what comes behind it in
    the pipeline is executed after it all the same."""
    echoes = [encode_request("ECHO", f"{number:04}") for number in range(4000)]
    with real.connect() as raw:
        raw.send(encode_request("SET", "a", "v" * 17_000) + encode_request("WATCH", "k") + b"".join(echoes))
        raw.read(b"+OK\r\n" * 2 + b"".join(b"$4\r\n%04d\r\n" % number for number in range(4000)))


@pytest.mark.parametrize("first", ["DBSIZE", "SCAN 0", "WAIT 0 1"])
def test_the_end_of_input_in_the_middle_of_a_turn_loses_no_reply(real: RunningServer, first: str) -> None:
    with real.connect() as raw:
        raw.send(f"{first}\r\nSET a 1\r\nWATCH k\r\nSET b 1\r\nECHO end\r\n".encode())
        raw.socket.shutdown(1)
        assert raw.read_to_end().endswith(b"+OK\r\n+OK\r\n+OK\r\n$3\r\nend\r\n")


def test_a_protocol_error_is_told_after_the_replies_before_it(real: RunningServer) -> None:
    with real.connect() as raw:
        raw.send(b"SET a 1\r\nWATCH k\r\nECHO hi\r\n*1\r\n$x\r\n")
        assert raw.read_to_end() == (
            b"+OK\r\n+OK\r\n$2\r\nhi\r\n-ERR Protocol error: invalid bulk length\r\n"
        )


@pytest.mark.parametrize("rule", ["", "any 1"])
@pytest.mark.parametrize("durability", ["sync", "async"])
def test_what_is_released_may_lead_to_more_that_is(
    start: StartServer, tmp_path: Path, durability: Literal["sync", "async"], rule: str
) -> None:
    """A large write is out, its client's next commands end the group, and the writes of others go with it:
    each of them is answered once."""
    node = FakeNode(rule=rule, acknowledged=[("a", "a" * 32, Ack(99, 99, 99))])
    store = open_database(tmp_path / "data", Options(durability=durability))
    real = start(store, node, on_uvloop=True)
    large = encode_request("SET", "large", b"v" * (9 << 20))
    with real.connect() as first, real.connect() as second, real.connect() as third:
        for raw, command in ((first, "PING"), (second, "PING"), (third, "WATCH w")):
            raw.send(command.encode() + b"\r\n")
            raw.read_line()
        a, b, c = real.server.connections.values()

        def together() -> None:
            a.feed(large[-10:] + b"SET x 1\r\nDBSIZE\r\n")
            b.feed(b"SET y 1\r\n")
            c.feed(b"MULTI\r\nSET z 1\r\nEXEC\r\n")

        real.call(lambda: a.feed(large[:-10]))
        real.call(together)
        real.call(node.waits.changed)
        first.read(b"+OK\r\n+OK\r\n")
        assert first.read_line() in (b":2\r\n", b":3\r\n", b":4\r\n")
        second.read(b"+OK\r\n")
        third.read(b"+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n")


def test_a_token_in_a_pipeline_covers_the_write_before_it(real: RunningServer) -> None:
    with real.connect() as raw:
        for number in (1, 2, 3):
            raw.send(b"SET k %d\r\nREPLICAD.POSITION\r\n" % number)
            assert raw.read_line() == b"+OK\r\n"
            raw.read_line()
            assert raw.read_line().startswith(b"1:%d:" % number)


def test_a_new_family_waits_for_replicas_as_writes_do(start: StartServer, tmp_path: Path) -> None:
    """And a token that is taken afterwards covers it."""
    server = start(open_database(tmp_path / "data", Options()), node=FakeNode(rule="any 1"))
    with server.connect() as raw:
        raw.send(b"REPLICAD.FAMILY CREATE f\r\n")
        assert raw.read_line().startswith(b"-UNCERTAIN ")
        raw.send(b"REPLICAD.POSITION\r\n")
        raw.read_line()
        assert raw.read_line().startswith(b"1:1:")


def test_nothing_is_said_to_stay_while_the_role_is_in_doubt(start: StartServer) -> None:
    """A write whose replicas do not come is answered when the node knows that it is the primary still."""
    node = FakeNode(rule="any 1")
    server = start(node=node)
    with server.connect() as raw:
        raw.send(b"SET k v\r\n")
        eventually(lambda: server.store.appended_sequence == 1)
        node.doubting = True
        assert raw.has_nothing_to_read(3 * node.waits.timeout_seconds)
        node.doubting = False
        server.call(server.server.role_changed)
        assert raw.read_line().startswith(b"-UNCERTAIN ")


def test_a_lost_write_is_not_waited_for(start: StartServer) -> None:
    """Whether a write is lost is told at once, also to who would wait for ever."""
    server = start()
    server.store.submit_many([(b"k", b"v")])
    with server.connect() as raw:
        raw.command("REPLICAD.WAITPOS", "0:9:0000000000000001", "0")
        assert raw.read_line().startswith(b"-LOST ")


def test_the_command_under_way_is_shown(start: StartServer) -> None:
    server = start()
    with server.connect() as raw:
        raw.send(b"SELECT 0\r\nPING\r\nCLIENT LIST\r\n")
        raw.read(b"+OK\r\n+PONG\r\n")
        raw.read_line()
        assert b" cmd=client " in raw.read_line()


def test_what_waits_for_exec_or_a_write_counts(start: StartServer, tmp_path: Path) -> None:
    """Watched keys and annotations are part of what a client may have buffered, and each costs the same
    however many there are."""
    server = start(open_database(tmp_path / "data", Options()), buffered_bytes_max=4_000_000)

    def closed_one_more(before: int) -> bool:
        return server.server.state.stats.closed_for_limits == before + 1

    for command in (b"WATCH key-%d\r\n", b'REPLICAD.LOGDATA "%d"\r\n'):
        closed = server.server.state.stats.closed_for_limits
        with server.connect() as raw:
            for first in range(0, 80_000, 1000):
                try:
                    raw.send(b"".join(command % number for number in range(first, first + 1000)))
                    raw.read(b"+OK\r\n" * 1000)
                except (ConnectionError, AssertionError):
                    break
            eventually(partial(closed_one_more, closed))


def test_a_client_that_quits_and_does_not_read_is_closed(start: StartServer) -> None:
    server = start(output_seconds_max=0.2)
    server.store.submit_many([(b"k", b"v" * 1_000_000)])
    eventually(lambda: server.store.get(b"k") is not None)
    with server.connect() as raw:
        raw.send(encode_request("GET", "k") * 30 + encode_request("QUIT"))
        eventually(lambda: server.server.state.stats.closed_for_limits == 1)
        eventually(lambda: not server.server.connections)


def test_patterns_have_a_limit(start: StartServer) -> None:
    server = start()
    with server.connect() as raw:
        raw.command("CONFIG", "GET", *["a*b*c"] * 65)
        assert raw.read_line() == b"-ERR wrong number of arguments for 'config|get' command\r\n"
