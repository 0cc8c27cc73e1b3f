"""Clients that mean harm, or are broken, change nothing and take little."""

from __future__ import annotations

import contextlib
import itertools
import random
import re
import socket

import pytest
import redis

from replicad.server import refusals
from replicad.server.execution import TURN_COMMANDS
from tests.server.conftest import StartServer
from tests.server.harness import RunningServer, encode_request
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("both_wires")

SEED = 20


@pytest.mark.parametrize(
    "garbage",
    [
        b"*1\r\n:5\r\n",
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n+v\r\n",
        b"*1000000000\r\n",
        b"*1\r\n$99999999999\r\n",
        b'SET k "v\r\n',
        b"\x16\x03\x01" + b"\x00" * 70_000,
    ],
)
def test_garbage_ends_the_connection(server: RunningServer, garbage: bytes) -> None:
    """The answer is one protocol error; nothing was written."""
    with server.connect() as client:
        client.send(b"PING\r\n" + garbage + b"SET k v\r\n")
        answer = client.read_to_end()
        assert answer.startswith(b"+PONG\r\n-ERR Protocol error: ")
        assert answer.count(b"\r\n") == 2
    assert server.store.appended_sequence == 0


def test_random_bytes_change_nothing(server: RunningServer) -> None:
    """Noise is answered with errors, and the next client is served."""
    print(f"seed {SEED}")
    noise = random.Random(SEED)
    for _ in range(20):
        with server.connect() as client:
            client.send(noise.randbytes(noise.randrange(1, 2000)))
            client.socket.shutdown(socket.SHUT_WR)
            for line in client.read_to_end().split(b"\r\n"):
                assert line == b"" or line.startswith(b"-ERR ")
    assert server.store.appended_sequence == 0
    assert redis.Redis(port=server.port).ping()


def test_errors_never_carry_line_ends_from_input(server: RunningServer) -> None:
    """What a client sends cannot make a second reply out of an error."""
    with server.connect() as client:
        client.command("NO\r\n+OK\r\n", "a\r\n:1\r\n")
        client.command("CLIENT", "x\r\n$1")
        client.command("HELLO", "3", "x\r\n+OK")
        client.command("PING")
        lines = [client.read_line() for _ in range(4)]
    assert [line[:5] for line in lines] == [b"-ERR ", b"-ERR ", b"-ERR ", b"+PONG"]


def test_a_client_that_does_not_read_is_closed(start: StartServer) -> None:
    """Its commands stop being executed when output waits; after a while it is closed."""
    server = start(output_seconds_max=0.1, output_bytes_max=1_000_000)
    redis.Redis(port=server.port).set("k", b"v" * 1_000_000)
    with server.connect() as client:
        client.socket.setblocking(False)
        wanted = encode_request("GET", "k") * 2000
        try:
            client.socket.send(wanted)
        except BlockingIOError:
            pass
        eventually(lambda: server.server.state.stats.closed_for_limits == 1)
    assert server.server.state.stats.counts.commands < 200


def test_replies_to_one_chunk_of_input_are_not_made_all_at_once(start: StartServer) -> None:
    """A few bytes ask for much each: what the client does not take yet is not executed yet."""
    server = start(output_bytes_max=1_000_000)
    redis.Redis(port=server.port).set("k", b"v" * 10_000)
    before = server.server.state.stats.counts.commands
    with server.connect() as client:
        client.send(encode_request("GET", "k") * 9000)
        eventually(lambda: server.server.state.stats.counts.commands > before)
        client.command("ECHO", "end")
        assert server.server.state.stats.counts.commands - before < 6000
        client.read((b"$10000\r\n" + b"v" * 10_000 + b"\r\n") * 9000 + b"$3\r\nend\r\n")


def test_a_slow_client_gets_everything(start: StartServer) -> None:
    """One that reads late, but reads, loses nothing."""
    server = start()
    redis.Redis(port=server.port).set("k", b"v" * 200_000)
    with server.connect() as client:
        client.send(encode_request("GET", "k") * 300 + encode_request("PING"))
        client.read((b"$200000\r\n" + b"v" * 200_000 + b"\r\n") * 300 + b"+PONG\r\n")


def test_a_request_that_never_ends_is_closed(start: StartServer) -> None:
    """A client that stops in the middle of a request does not stay for ever."""
    server = start(input_seconds_max=0.1)
    with server.connect() as idle, server.connect() as client:
        client.send(b"*2\r\n$3\r\nGET\r\n$5\r\nab")
        assert client.read_to_end() == b""
        idle.command("PING")
        idle.read(b"+PONG\r\n")


def test_there_is_a_limit_to_clients(start: StartServer) -> None:
    """One too many is told so and closed; room made is room for others."""
    server = start(clients_max=2)
    first, second = server.connect(), server.connect()
    for client in (first, second):
        client.command("PING")
        client.read(b"+PONG\r\n")
    with server.connect() as third:
        assert third.read_to_end() == b"-ERR max number of clients reached\r\n"
    first.close()
    eventually(lambda: len(server.server.connections) == 1)
    with server.connect() as fourth:
        fourth.command("PING")
        fourth.read(b"+PONG\r\n")
    second.close()


def test_a_reply_has_a_limit(start: StartServer) -> None:
    """One command cannot ask for more than the server sends at once."""
    server = start(reply_bytes_max=100_000)
    client = redis.Redis(port=server.port)
    client.set("k", b"v" * 50_000)
    with pytest.raises(redis.ResponseError, match="larger than this server sends"):
        client.mget(["k"] * 3)
    pipeline = client.pipeline(transaction=True)
    pipeline.set("other", "1").get("k").get("k").get("k")
    with pytest.raises(redis.ResponseError, match="larger than this server sends"):
        pipeline.execute()
    assert client.get("other") is None


@pytest.mark.parametrize(
    "words",
    [
        ["REPLICAD.SWITCHOVER", *["TIMEOUT", "1"] * 200_000],
        ["FAILOVER", *["TIMEOUT", "1"] * 200_000],
        ["REPLICAD.BACKUP", "CREATE", *["FLUSH"] * 400_000],
        ["SHUTDOWN", *["NOW"] * 400_000],
        ["SET", "k", "v", *["NX"] * 400_000],
        ["GETEX", "k", *["EX"] * 400_000],
        ["SCAN", "0", *["COUNT", "1"] * 200_000],
        ["INFO", *["memory"] * 400_000],
        ["CLIENT", "LIST", "ID", *["1"] * 400_000],
        ["COMMAND", "INFO", *["get"] * 400_000],
        ["CONFIG", "GET", *["*"] * 400_000],
    ],
    ids=lambda words: words[0],
)
def test_endless_options_are_refused(start: StartServer, words: list[str]) -> None:
    """A command with more options than there can be is refused by their number, whatever they are."""
    server = start()
    with server.connect() as client:
        client.command(*words)
        assert re.match(rb"-ERR (syntax|wrong number|Syntax)", client.read_line())


def test_keys_counts_what_each_key_takes(start: StartServer) -> None:
    """Short keys take far more as objects than as bytes: KEYS counts that, and gives up in time."""
    server = start(reply_bytes_max=100_000)
    client = redis.Redis(port=server.port)
    client.mset({f"{number:04}": "" for number in range(2000)})
    with pytest.raises(redis.ResponseError, match="larger than this server sends"):
        client.keys()
    assert len(client.keys("1*")) == 1000


def test_a_reply_that_a_thread_builds_has_a_share_of_the_budget(start: StartServer) -> None:
    """The threads together stay within what clients may have buffered, however large one reply might be."""
    server = start(buffered_bytes_max=400_000, threads_max=4)
    client = redis.Redis(port=server.port)
    client.mset({f"{number:04}": "" for number in range(2000)})
    with pytest.raises(redis.ResponseError, match="larger than this server sends"):
        client.keys()
    assert len(client.keys("1*")) == 1000


def test_large_values_flow_in_pieces(start: StartServer) -> None:
    """Many large writes in one pipeline commit in several groups, and all arrive."""
    server = start()
    with server.connect() as client:
        requests = b"".join([encode_request("SET", f"k{i}", b"v" * 1_000_000) for i in range(30)])
        client.send(requests + encode_request("GET", "k29"))
        client.read(b"+OK\r\n" * 30 + b"$1000000\r\n" + b"v" * 1_000_000 + b"\r\n")
    assert len(server.store.groups) > 1


def test_a_value_has_a_limit(start: StartServer) -> None:
    """The bulk limit holds for what APPEND makes as well."""
    server = start(bulk_bytes_max=1000)
    client = redis.Redis(port=server.port)
    client.set("k", b"v" * 900)
    with pytest.raises(redis.ResponseError, match="exceeds maximum allowed size"):
        client.append("k", b"v" * 101)
    assert client.append("k", b"v" * 100) == 1000


def test_a_browser_is_sent_away(server: RunningServer) -> None:
    """What a web page makes a browser send is not executed."""
    with server.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nSET k v\r\n")
        assert client.read_to_end().startswith(b"-ERR unknown command 'POST'")
    assert server.store.appended_sequence == 0


def test_all_clients_together_have_a_limit(start: StartServer) -> None:
    """When unfinished requests take too much, the largest goes and the others stay."""
    server = start(buffered_bytes_max=1_000_000)
    with server.connect() as large, server.connect() as small:
        small.send(b"*2\r\n$4\r\nECHO\r\n$3\r\nab")
        large.send(b"*2\r\n$4\r\nECHO\r\n$2000000\r\n" + b"x" * 1_500_000)
        assert large.read_to_end() == b""
        small.send(b"c\r\n")
        small.read(b"$3\r\nabc\r\n")


def test_little_is_read_of_a_client_whose_writes_wait(start: StartServer) -> None:
    """While a role is settled; what it sent counts when it has left, too."""
    server = start()
    server.node.doubting = True
    write = encode_request("SET", "k", b"v" * 5000)
    with server.connect() as leaving:
        leaving.send(write)
        eventually(lambda: server.server.state.group.size_bytes > 5000)
        leaving.reset()
    eventually(lambda: not server.server.connections)
    assert server.server.state.group.size_bytes > 5000
    with server.connect() as client:
        client.socket.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            client.send(write * 5000)
        assert server.server.state.stats.counts.input_bytes < 1_000_000
    server.node.doubting = False
    server.call(server.server.role_changed)


def test_writes_that_wait_have_a_limit_together(start: StartServer) -> None:
    """They are refused when they take too much; nobody is closed, and later ones are taken."""
    server = start(buffered_bytes_max=4_000_000)
    server.node.doubting = True
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(100)]
        for client in clients:
            client.send(encode_request("SET", "k", b"v" * 50_000))
        clients[0].read(refusals.TOO_MUCH_WAITS)
        eventually(lambda: server.server.state.stats.counts.input_bytes > 5_000_000)
        server.node.doubting = False
        server.call(server.server.role_changed)
        clients[-1].read(b"+OK\r\n")
    assert 0 < server.store.appended_sequence < 100
    assert server.server.state.stats.closed_for_limits == 0


def test_a_client_may_send_much_before_it_reads(start: StartServer) -> None:
    """A long pipeline whose replies fill the sockets' buffers does not end in both sides waiting."""
    server = start()
    redis.Redis(port=server.port).set("k", b"v" * 500)
    with server.connect() as client:
        client.send(encode_request("GET", "k") * 50_000 + encode_request("SET", "k", "w") * 50_000)
        client.read((b"$500\r\n" + b"v" * 500 + b"\r\n") * 50_000 + b"+OK\r\n" * 50_000)


@pytest.mark.parametrize("on_uvloop", [False, True])
@pytest.mark.parametrize(
    ("request_", "count"),
    [
        (b"PING\r\n", 100_000),
        (encode_request("PING"), 100_000),
        (encode_request("SET", "k", "v"), 100_000),
        (encode_request("SET", "k", "v" * 1000), 20_000),
    ],
)
def test_a_client_that_sends_much_leaves_others_their_turns(
    start: StartServer, on_uvloop: bool, request_: bytes, count: int
) -> None:
    """However much of one client has come, the loop goes round after some thousand of its commands."""
    server = start(on_uvloop=on_uvloop, durability="async")
    executed: list[int] = []

    def look() -> None:
        executed.append(server.server.state.stats.counts.commands)
        if executed[-1] <= count:
            server.server.state.loop.call_soon(look)

    with server.connect() as client:
        server.call(look)
        client.send(request_ * count + b"ECHO end\r\n")
        reply = b"+OK\r\n" if b"SET" in request_ else b"+PONG\r\n"
        client.read(reply * count + b"$3\r\nend\r\n")
        eventually(lambda: executed[-1] == count + 1)
    most = max(after - before for before, after in itertools.pairwise(executed))
    assert most <= 2 * TURN_COMMANDS, "what came, and what was left of before"
