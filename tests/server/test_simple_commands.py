"""The commands that the kernel executes answer byte for byte as their handlers in Python do."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from replicad.options import KEY_BYTES_MAX, Options
from replicad.server import server_state
from replicad.server.commands import COMMANDS
from replicad.server.simple_commands import SIMPLE_COMMANDS
from replicad.server.wires import SocketWire
from replicad.store.database import open_database
from tests.server.conftest import StartServer
from tests.server.harness import FakeNode, RawClient, RunningServer, encode_request
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("both_wires")

Words = tuple[bytes, ...]

KEYS = [b"", b"a", b"b", b"key:3", b"long" * 20, b"absent"]
VALUES = [b"", b"0", b"7", b"-1", b"007", b"x", b"9223372036854775807", b"v" * 300, b"\r\n$1\r\n"]
NUMBERS = [
    b"0",
    b"1",
    b"-2",
    b"5",
    b"+1",
    b"",
    b"-0",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"99" * 12,
]
OPTIONS = [b"NX", b"xx", b"GET", b"KeepTTL", b"EX", b"10", b"nonsense", b"n\x18"]
END = (b"ECHO", b"the end")


def a_command(rng: random.Random) -> Words:
    """One of the simple ones as a rule, well formed or not; now and then one that only Python knows."""

    def keys(most: int = 6) -> list[bytes]:
        return [rng.choice(KEYS) for _ in range(rng.randrange(1, most))]

    def pairs() -> list[bytes]:
        return [part for key in keys() for part in (key, rng.choice(VALUES))]

    key, value = rng.choice(KEYS), rng.choice(VALUES)
    makers: list[Callable[[], list[bytes]]] = [
        lambda: [b"PING"],
        lambda: [b"PING", value],
        lambda: [b"ECHO", value],
        lambda: [b"GET", key],
        lambda: [b"GET", key],
        lambda: [b"MGET", *keys()],
        lambda: [b"EXISTS", *keys()],
        lambda: [b"STRLEN", key],
        lambda: [b"GETRANGE", key, rng.choice(NUMBERS), rng.choice(NUMBERS)],
        lambda: [b"SET", key, value],
        lambda: [b"SET", key, value],
        lambda: [b"SET", key, value, *rng.sample(OPTIONS, rng.randrange(1, 4))],
        lambda: [b"SETNX", key, value],
        lambda: [b"MSET", *pairs()],
        lambda: [b"MSET", *pairs(), b"odd"],
        lambda: [b"DEL", *keys()],
        lambda: [b"UNLINK", *keys()],
        lambda: [rng.choice([b"INCR", b"DECR"]), key],
        lambda: [rng.choice([b"INCRBY", b"DECRBY"]), key, rng.choice(NUMBERS)],
        lambda: [b"APPEND", key, value],
        lambda: [b"SELECT", rng.choice([b"0", b"0", b"1", b"9"])],
        lambda: [b"HELLO", rng.choice([b"2", b"3", b"4"])],
        lambda: [b"MULTI"],
        lambda: [b"EXEC"],
        lambda: [b"GETDEL", key],
        lambda: [b"TYPE", key],
        lambda: [b"SUBSCRIBE", key],
        lambda: [b"UNSUBSCRIBE"],
        lambda: [b"UNSUBSCRIBE"],
        lambda: [b"NOTHING", key],
        lambda: [b"SET", b"k" * (KEY_BYTES_MAX + 1), value],
    ]
    words = rng.choice(makers)()
    if rng.random() < 0.05:
        words = words[: rng.randrange(1, len(words) + 1)]
    words[0] = rng.choice([words[0], words[0].lower(), words[0].title()])
    return tuple(words)


def a_transaction(rng: random.Random) -> list[Words]:
    """As clients send it at once; now and then it is broken, or watches."""
    before = [(b"WATCH", rng.choice(KEYS))] if rng.random() < 0.1 else []
    commands = [a_command(rng) for _ in range(rng.randrange(6))]
    return [*before, (b"MULTI",), *commands, (b"EXEC",)]


def all_replies(client: RawClient, stream: bytes, sizes: Iterator[int]) -> bytes:
    """What the stream is answered with, sent in pieces of these sizes."""
    for cut in sizes:
        client.send(stream[:cut])
        stream = stream[cut:]
        if not stream:
            break
    got, wanted = b"", b"$7\r\nthe end\r\n"
    while not got.endswith(wanted):
        piece = client.socket.recv(1 << 16)
        assert piece, got[-500:]
        got += piece
    return got


@pytest.fixture(params=["async", "sync"])
def twins(
    request: pytest.FixtureRequest, start: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[RunningServer, RunningServer]:
    """A server whose simple commands are the kernel's, and one where Python executes all."""
    servers = []
    for name in ("kernel", "python"):
        store = open_database(tmp_path / name, Options(durability=request.param))
        store.create_family("one")
        if name == "python":
            monkeypatch.setattr(server_state, "add_simple_commands", lambda engine: None)
        servers.append(start(store))
    return servers[0], servers[1]


def test_the_kernel_answers_as_python_does(twins: tuple[RunningServer, RunningServer]) -> None:
    """Streams of any commands, cut anywhere: the same bytes from both."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    for _ in range(60):
        sent = [a_transaction(rng) if rng.random() < 0.2 else [a_command(rng)] for _ in range(60)]
        stream = b"".join([encode_request(*words) for each in sent for words in each])
        stream += encode_request(b"DISCARD") + encode_request(b"UNSUBSCRIBE") + encode_request(*END)
        step = rng.choice([1 << 20, 1000, 100, 7])
        answers = []
        for server in twins:
            with server.connect() as client:
                cuts = random.Random(step)
                sizes = iter(lambda: cuts.randrange(1, step + 1), 0)  # noqa: B023
                answers.append(all_replies(client, stream, sizes))
        assert answers[0] == answers[1]
    kernel, python = twins
    assert kernel.store.digest()[1] == python.store.digest()[1]


def test_every_cut_gives_the_same_replies(twins: tuple[RunningServer, RunningServer]) -> None:
    """A short stream of commands of both kinds is cut in two at each byte."""
    stream = b"".join(
        encode_request(*words)
        for words in [
            (b"SET", b"k", b"v"),
            (b"GET", b"k"),
            (b"TYPE", b"k"),
            (b"INCR", b"n"),
            (b"MGET", b"k", b"n"),
            (b"DEL", b"k", b"n"),
            (b"MULTI",),
            (b"SET", b"k", b"v"),
            (b"INCR", b"n"),
            (b"GET", b"n"),
            (b"EXEC",),
            (b"DEL", b"k", b"n"),
            END,
        ]
    )
    expected = b"+OK\r\n$1\r\nv\r\n+string\r\n:1\r\n*2\r\n$1\r\nv\r\n$1\r\n1\r\n:2\r\n"
    expected += b"+OK\r\n" + b"+QUEUED\r\n" * 3 + b"*3\r\n+OK\r\n:1\r\n$1\r\n1\r\n:2\r\n$7\r\nthe end\r\n"
    with twins[0].connect() as client:
        for cut in range(1, len(stream)):
            assert all_replies(client, stream, iter([cut, len(stream)])) == expected


def test_every_simple_command_has_its_handler() -> None:
    """With the same least number of arguments, for the handler serves what the kernel leaves."""
    for name, (_, least, _) in SIMPLE_COMMANDS.items():
        assert abs(COMMANDS[name].arity) == least


def test_the_kernel_executes_them(start: StartServer) -> None:
    """Python sees none of the simple commands of a client that does nothing else."""
    server = start(durability="async")
    with server.connect() as client:
        client.send(encode_request("SET", "k", "v") + encode_request("GET", "k"))
        client.read(b"+OK\r\n$1\r\nv\r\n")
        (one,) = server.server.connections
        assert (one.command_name, one.port.command_name) == ("NULL", "get")
        client.command("CLIENT", "LIST")
        assert b" cmd=client" in client.read_line() + client.read_line()


def test_python_hears_of_no_client_that_does_nothing_else(
    start: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not when its requests come, and not when its replies may go, however much it sends by and by."""
    acted: list[object] = []
    act = SocketWire.act

    def noted(wire: SocketWire, found: list[list[bytes] | bytes] | None) -> None:
        acted.append(found)
        act(wire, found)

    monkeypatch.setattr(SocketWire, "act", noted)
    server = start(durability="async")
    with server.connect() as client:
        for _ in range(100):
            client.command("SET", "k", "v" * 5000)
            client.read(b"+OK\r\n")
            client.command("GET", "k")
            client.read(b"$5000\r\n" + b"v" * 5000 + b"\r\n")
    assert not [found for found in acted if found]
    assert len(acted) <= 1, "its end"


def test_nothing_overtakes_a_command_under_way(start: StartServer) -> None:
    """What comes while a client waits for something is answered after it."""
    server = start(durability="async")
    with server.connect() as client:
        client.command("WAIT", "1", "300")
        eventually(lambda: any(one.is_busy for one in server.server.connections))
        client.command("PING")
        client.read(b":0\r\n+PONG\r\n")


def test_a_node_that_takes_no_writes_reads_in_the_kernel(start: StartServer) -> None:
    """SET is refused, and its condition is not even looked at; GET is still the kernel's."""
    server = start(node=FakeNode(role="replica", is_writable=False, primary_address=("10.0.0.1", 7)))
    with server.connect() as client:
        client.send(encode_request("SET", "k", "v", "XX") + encode_request("PING"))
        assert client.read_line().startswith(b"-READONLY ")
        client.read(b"+PONG\r\n")
        client.command("GET", "k")
        client.read(b"$-1\r\n")
        (one,) = server.server.connections
        eventually(lambda: one.port.command_name == "get")


def test_annotations_are_not_forgotten(start: StartServer, tmp_path: Path) -> None:
    """A write after REPLICAD.LOGDATA carries it, though writes are the kernel's otherwise."""
    server = start(open_database(tmp_path / "data", Options(durability="sync")))
    with server.connect() as client:
        client.send(encode_request("REPLICAD.LOGDATA", "note"))
        client.read(b"+OK\r\n")
        client.send(encode_request("SET", "k", "v") + encode_request("SET", "k", "w"))
        client.read(b"+OK\r\n+OK\r\n")
    updates = list(server.store.get_updates_since(1))
    notes = [[op.value for op in each.batch.operations if op.kind == 3] for each in updates]
    assert notes == [[b"note"], []]
