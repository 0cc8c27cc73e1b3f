"""Commands that take longer than a turn: others are served between the pieces, and write after them."""

from __future__ import annotations

from pathlib import Path

import pytest

from replicad.errors import DiskFullError
from replicad.options import Options
from replicad.server.client_state import ClientState
from replicad.store.database import open_database
from tests.server.conftest import StartServer
from tests.server.harness import FakeNode, RawClient, RunningServer, encode_request
from tests.support.waiting import eventually

KEYS = 10_000


class HurryingClock:
    """Every look at it is a minute later: a turn is over as soon as somebody asks."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        self._now += 60.0
        return self._now


def _names(count: int = KEYS) -> list[str]:
    return [f"key:{number}" for number in range(count)]


@pytest.fixture
def hurried(start: StartServer, tmp_path: Path) -> RunningServer:
    """A server whose turns end after each key; half of the keys are there."""
    server = start(open_database(tmp_path / "data", Options(durability="async")), on_uvloop=True)
    pairs = [part for name in _names()[::2] for part in (name, "v")]
    with server.connect() as client:
        client.command("MSET", *pairs)
        client.read(b"+OK\r\n")
    server.server.state.now = HurryingClock()
    return server


def _under_way(server: RunningServer) -> None:
    eventually(lambda: server.server.pieces.under_way)


def _until_it_is_done(server: RunningServer, other: RawClient) -> int:
    """How often another client was served before the command under way was done."""
    served = 0
    while server.server.pieces.under_way:
        other.command("PING")
        other.read(b"+PONG\r\n")
        served += 1
    return served


def test_others_are_served_while_keys_are_deleted(hurried: RunningServer) -> None:
    """A DEL of many keys gives others their turns, and counts as if it had been alone."""
    with hurried.connect() as client, hurried.connect() as other:
        client.command("DEL", *_names())
        _under_way(hurried)
        assert _until_it_is_done(hurried, other) > 1
        client.read(b":%d\r\n" % (KEYS // 2))
        other.command("EXISTS", *_names(10))
        other.read(b":0\r\n")


@pytest.mark.parametrize("write", [("SET", "key:9999", "new"), ("MSET", "key:9999", "new", "a", "b")])
def test_a_write_comes_before_or_after_a_command_in_pieces(
    hurried: RunningServer, write: tuple[str, ...]
) -> None:
    """A key that another client writes meanwhile is written afterwards, and stays."""
    with hurried.connect() as client, hurried.connect() as other:
        client.command("DEL", *_names())
        _under_way(hurried)
        other.command(*write)
        client.read(b":%d\r\n" % (KEYS // 2))
        other.read(b"+OK\r\n")
        other.command("GET", "key:9999")
        other.read(b"$3\r\nnew\r\n")


def test_nothing_comes_in_between_the_commands_of_a_long_exec(hurried: RunningServer) -> None:
    """What EXEC reads first and last is the same, though another client writes meanwhile."""
    with hurried.connect() as client, hurried.connect() as other:
        client.send(encode_request("MULTI") + encode_request("GET", "key:0") * KEYS + encode_request("EXEC"))
        client.read(b"+OK\r\n" + b"+QUEUED\r\n" * KEYS)
        _under_way(hurried)
        other.command("SET", "key:0", "new")
        client.read(b"*%d\r\n" % KEYS + b"$1\r\nv\r\n" * KEYS)
        other.read(b"+OK\r\n")


def test_exec_of_a_long_command_sees_what_exec_wrote(hurried: RunningServer) -> None:
    """DEL and EXISTS of many keys within EXEC see the writes before them, and commit with them."""
    with hurried.connect() as client:
        client.command("MULTI")
        client.command("SET", "key:1", "v")
        client.command("EXISTS", *_names())
        client.command("DBSIZE")
        client.command("DEL", *_names())
        client.command("EXISTS", "key:1")
        client.command("EXEC")
        client.read(b"+OK\r\n" + b"+QUEUED\r\n" * 5)
        there = KEYS // 2 + 1
        client.read(b"*5\r\n+OK\r\n" + b":%d\r\n" % there * 3 + b":0\r\n")
        client.command("DBSIZE")
        client.read(b":0\r\n")


def test_two_long_commands_come_one_after_the_other(hurried: RunningServer) -> None:
    """Of two clients that delete the same keys, one deletes all of them."""
    with hurried.connect() as client, hurried.connect() as other:
        client.command("DEL", *_names())
        _under_way(hurried)
        other.command("DEL", *_names())
        client.read(b":%d\r\n" % (KEYS // 2))
        other.read(b":0\r\n")


def test_a_client_that_goes_leaves_nothing_behind(hurried: RunningServer) -> None:
    """When a client is gone before its command in pieces is done, nothing was written, and others go on."""
    with hurried.connect() as other:
        client = hurried.connect()
        client.command("DEL", *_names())
        _under_way(hurried)
        client.reset()
        eventually(lambda: not hurried.server.pieces.under_way)
        other.command("EXISTS", *_names())
        other.read(b":%d\r\n" % (KEYS // 2))
        other.command("SET", "after", "v")
        other.read(b"+OK\r\n")


def test_a_change_of_role_ends_a_command_in_pieces(hurried: RunningServer) -> None:
    """Nothing of it is written when the node became a replica meanwhile, for what it saw may have changed."""
    with hurried.connect() as client, hurried.connect() as other:
        client.command("DEL", *_names())
        _under_way(hurried)
        hurried.call(hurried.server.role_changed)
        assert client.read_line().startswith(b"-TRYAGAIN ")
        other.command("EXISTS", *_names())
        other.read(b":%d\r\n" % (KEYS // 2))


def test_a_group_that_fails_before_a_command_in_pieces_fails_it_too(
    start: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long command that saw a write of the open group is refused when that write is: it is not there."""
    server = start(durability="async")
    server.store.refuse_with = DiskFullError("no room")
    monkeypatch.setattr(ClientState, "turn_is_over", lambda client: True)
    with server.connect() as client:
        # Both in what the server reads at once, so that the second sees the first before its group is tried.
        client.send(encode_request("SET", "key:0", "v") + encode_request("DEL", *_names(1000)))
        assert client.read_line().startswith(b"-ERR no room")
        assert client.read_line().startswith(b"-TRYAGAIN ")


def test_a_long_command_is_refused_while_the_role_is_in_doubt(start: StartServer) -> None:
    """While writes are held nothing can go on in pieces: what was seen may be refused later."""
    server = start(node=FakeNode(held=True), durability="async")
    server.server.state.now = HurryingClock()
    with server.connect() as client:
        client.command("DEL", *_names())
        assert client.read_line().startswith(b"-TRYAGAIN ")


def test_many_watched_keys_are_looked_up_in_pieces(hurried: RunningServer) -> None:
    """WATCH of many keys gives others their turns; a key written afterwards breaks it."""
    with hurried.connect() as client, hurried.connect() as other:
        client.command("WATCH", *_names())
        _under_way(hurried)
        assert _until_it_is_done(hurried, other) > 1
        client.read(b"+OK\r\n")
        other.command("SET", "key:7", "v")
        other.read(b"+OK\r\n")
        client.send(encode_request("MULTI") + encode_request("SET", "a", "b") + encode_request("EXEC"))
        client.read(b"+OK\r\n+QUEUED\r\n*-1\r\n")


@pytest.mark.parametrize(
    "command",
    [("ECHO", "OK"), ("SET", "k", "v", "XX"), ("INCR", "none"), ("TYPE", "k")],
    ids=lambda it: it[0],
)
def test_a_turn_ends_when_its_time_is_over(start: StartServer, command: tuple[str, ...]) -> None:
    """Commands that take long leave others their turns, and are all done, in order. The clock is looked at
    every 32 commands."""
    count = 50 * 32
    server = start(durability="async")
    server.server.state.now = HurryingClock()
    turns: list[int] = []

    def look() -> None:
        turns.append(server.server.state.stats.counts.commands)
        if turns[-1] < count:
            server.server.state.loop.call_soon(look)

    with server.connect() as client:
        server.call(look)
        client.send(encode_request(*command) * count)
        for number in range(count):
            replies = {
                "ECHO": b"$2\r\nOK\r\n",
                "SET": b"$-1\r\n",
                "INCR": b":%d\r\n" % (number + 1),
                "TYPE": b"+none\r\n",
            }
            client.read(replies[command[0]])
        eventually(lambda: turns[-1] >= count)
    assert len(set(turns)) > 25


@pytest.mark.parametrize("command", ["EXISTS", "MGET"])
def test_long_reads_see_one_state(hurried: RunningServer, command: str) -> None:
    """EXISTS and MGET of many keys are looked up on one snapshot, and see this client's own writes."""
    with hurried.connect() as client:
        client.command("SET", "key:1", "v")
        client.command(command, *_names())
        client.read(b"+OK\r\n")
        if command == "EXISTS":
            client.read(b":%d\r\n" % (KEYS // 2 + 1))
        else:
            there = [n % 2 == 0 or n == 1 for n in range(KEYS)]
            client.read(
                b"*%d\r\n" % KEYS + b"".join([b"$1\r\nv\r\n" if each else b"$-1\r\n" for each in there])
            )
