"""The client port over TLS, and before anybody has logged in: limits, slow readers and turns hold as in clear
text."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from replicad.net.doors import Door
from replicad.options import Options
from replicad.server.access.login import Login
from replicad.server.access.roles import Role
from replicad.server.access.secrets import token_sha256
from replicad.server.access.users import UserOptions, Users
from replicad.server.client_state import REFUSALS_BEFORE_LOGIN_MAX
from replicad.server.wires import TLS_BYTES
from replicad.store.database import open_database
from tests.server.conftest import StartServer
from tests.server.harness import RunningServer, encode_request
from tests.support.certificates import Authority
from tests.support.stores.fake_database import FakeDatabase
from tests.support.waiting import eventually

TOKEN = "the token of the application"
USERS = {
    "app": UserOptions(roles=(Role.WRITE,), token_sha256=token_sha256(TOKEN)),
    "reader": UserOptions(roles=(Role.READ,), token_sha256=token_sha256(TOKEN)),
    "watcher": UserOptions(roles=(Role.MONITOR,), token_sha256=token_sha256(TOKEN)),
    "admin": UserOptions(roles=(Role.ADMIN,), token_sha256=token_sha256(TOKEN)),
    "sessions": UserOptions(roles=(Role.WRITE,), token_sha256=token_sha256(TOKEN), families=("sessions",)),
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority") / "ca")


@pytest.fixture(scope="module")
def door(authority: Authority) -> Door:
    return Door("clients", authority.options("server").material("clients"))


@pytest.fixture(params=["asyncio", "uvloop"])
def server(
    request: pytest.FixtureRequest, start: StartServer, door: Door, tmp_path: Path
) -> Iterator[RunningServer]:
    """TLS is another code in each of the two loops."""
    store = open_database(tmp_path / "data", Options(durability="async"))
    yield start(
        store,
        door=door,
        on_uvloop=request.param == "uvloop",
        output_bytes_max=1 << 16,
        output_seconds_max=0.5,
        buffered_bytes_max=32 << 20,
    )


def test_redis_py_speaks_tls(server: RunningServer, authority: Authority) -> None:
    """A client that we did not write, with both protocols."""
    for protocol in (2, 3):
        with redis.Redis(
            host="127.0.0.1", port=server.port, ssl=True, ssl_ca_certs=str(authority.ca), protocol=protocol
        ) as client:
            value = random.Random(1).randbytes(3_000_000)
            assert client.set("large", value)
            assert client.get("large") == value
            with client.pipeline(transaction=True) as pipeline:
                pipeline.set("a", 1).incr("a").get("a")
                assert pipeline.execute() == [True, 2, b"2"]


def test_requests_in_any_pieces_mean_the_same(server: RunningServer) -> None:
    """Records of TLS end where they like."""
    rng = random.Random(2)
    requests = b"".join(encode_request("INCR", "n") for _ in range(2000))
    with server.connect() as client:
        at = 0
        while at < len(requests):
            size = rng.choice([1, 7, 100, 5000, 40_000])
            client.send(requests[at : at + size])
            at += size
        client.read(b"".join(b":%d\r\n" % number for number in range(1, 2001)))


def test_a_slow_reader_gets_everything(server: RunningServer) -> None:
    """What waits for it is bounded meanwhile, and others are served."""
    value = random.Random(3).randbytes(30_000)
    with server.connect() as slow, server.connect() as other:
        other.command("SET", "k", value)
        other.read(b"+OK\r\n")
        slow.send(encode_request("GET", "k") * 200)
        other.command("PING")
        other.read(b"+PONG\r\n")
        for _ in range(200):
            slow.read(b"$30000\r\n" + value + b"\r\n")


def test_a_client_that_does_not_read_is_closed(server: RunningServer) -> None:
    """Though the transport of uvloop does not count what waits below TLS."""
    with server.connect() as client:
        client.command("SET", "k", b"v" * 1_000_000)
        client.read(b"+OK\r\n")
        client.send(encode_request("GET", "k") * 50)
        eventually(lambda: not server.server.connections, seconds=20)
    assert server.server.state.stats.closed_for_limits == 1


def test_the_buffers_of_tls_are_counted(server: RunningServer) -> None:
    with server.connect() as client:
        client.command("PING")
        client.read(b"+PONG\r\n")
        (connection,) = server.server.connections.values()
        assert connection.buffered_bytes >= TLS_BYTES


def test_garbage_within_tls_ends_the_connection(server: RunningServer) -> None:
    """As in clear text; below TLS it ends it, too."""
    rng = random.Random(4)
    for _ in range(20):
        with server.connect() as client:
            client.send(b"*1\r\n:" + rng.randbytes(100))
            assert client.read_to_end().startswith(b"-ERR Protocol error")
        with server.connect() as client:
            raw = socket.socket(fileno=socket.dup(client.socket.fileno()))
            raw.sendall(rng.randbytes(300))
            raw.close()
            client.read_to_end()
    with server.connect() as client:
        client.command("PING")
        client.read(b"+PONG\r\n")


def test_replies_under_way_survive_a_clean_end(start: StartServer, door: Door) -> None:
    """The end of the server sends what was acknowledged."""
    server = start(FakeDatabase("async"), door=door)
    with server.connect() as client:
        client.send(encode_request("SET", "k", "v") * 100)
        client.read(b"+OK\r\n" * 100)
        client.send(encode_request("GET", "k") * 100)
        client.read(b"$1\r\nv\r\n" * 100)


# Who is not known, and who may not.


@pytest.fixture(params=["clear", "tls"])
def guarded(request: pytest.FixtureRequest, start: StartServer, door: Door, tmp_path: Path) -> RunningServer:
    """A server with users."""
    store = open_database(tmp_path / "data", Options(durability="async"))
    store.create_family("sessions")
    more = {"door": door} if request.param == "tls" else {}
    return start(store, on_uvloop=True, login=Login(Users(USERS)), **more)


def test_before_auth_nothing_is_done_and_little_is_kept(guarded: RunningServer) -> None:
    """Whatever is sent: commands, long requests, many of them, guesses."""
    rng = random.Random(5)
    words = ["GET", "SET", "EVAL", "AUTH", "HELLO", "INFO", "MULTI", "EXEC", "CLIENT", "ACL", "RESET"]
    for _ in range(100):
        with guarded.connect() as client:
            request = b"".join(
                encode_request(
                    rng.choice(words), *(rng.randbytes(rng.randrange(30)) for _ in range(rng.randrange(4)))
                )
                for _ in range(rng.randrange(1, 10))
            )
            client.send(request[: rng.randrange(1, len(request) + 1)])
    with guarded.connect() as client:
        client.send(encode_request("GET", "k") * (REFUSALS_BEFORE_LOGIN_MAX + 50))
        assert client.read_to_end().count(b"-NOAUTH") == REFUSALS_BEFORE_LOGIN_MAX
    for request in (b"*17\r\n", b"*2\r\n$3\r\nGET\r\n$16385\r\n", b"x" * 5000):
        with guarded.connect() as client:
            client.send(request)
            assert client.read_to_end().startswith(b"-ERR Protocol error")
    eventually(lambda: not guarded.server.connections)
    assert guarded.store.latest_sequence == 1  # the family


def test_what_comes_behind_auth_in_one_pipeline_is_the_users(guarded: RunningServer) -> None:
    """Also what is larger than anybody may send before."""
    with guarded.connect() as client:
        value = b"v" * 100_000
        client.send(
            encode_request("GET", "k")
            + encode_request("AUTH", "app", TOKEN)
            + encode_request("SET", "k", value)
            + encode_request("GET", "k")
            + encode_request("RESET")
            + encode_request("GET", "k")
        )
        client.read(b"-NOAUTH Authentication required.\r\n+OK\r\n+OK\r\n$100000\r\n" + value + b"\r\n")
        client.read(b"+RESET\r\n-NOAUTH Authentication required.\r\n")


@pytest.mark.parametrize(
    "user, command, allowed",
    [
        ("watcher", "PING", True),
        ("watcher", "INFO", True),
        ("watcher", "GET k", False),
        ("watcher", "KEYS *", False),
        ("reader", "GET k", True),
        ("reader", "MGET k l", True),
        ("reader", "SCAN 0", True),
        ("reader", "SET k v", False),
        ("reader", "DEL k", False),
        ("reader", "INCR n", False),
        ("reader", "REPLICAD.UPDATES 1", False),
        ("app", "SET k v", True),
        ("app", "REPLICAD.FAMILY LIST", True),
        ("app", "REPLICAD.FAMILY CREATE x", False),
        ("app", "CONFIG RESETSTAT", False),
        ("app", "SHUTDOWN", False),
        ("app", "ACL WHOAMI", True),
        ("app", "ACL LIST", False),
        ("admin", "ACL LIST", True),
        ("admin", "CONFIG RESETSTAT", True),
        ("sessions", "GET k", False),
        ("sessions", "SET k v", False),
    ],
)
def test_roles(guarded: RunningServer, user: str, command: str, allowed: bool) -> None:
    """By the kernel and by Python, alone and within MULTI."""
    name = command.split()[0].lower()
    refusal = f"-NOPERM User {user} has no permissions to run the '{name}' command\r\n".encode()
    with guarded.connect() as client:
        client.command("AUTH", user, TOKEN)
        client.read(b"+OK\r\n")
        client.command(*command.split())
        line = client.read_line()
        assert (line == refusal) is not allowed, line
    if not allowed:
        with guarded.connect() as client:
            client.send(
                b"".join(map(_words, (f"AUTH {user} x", "MULTI", command, "EXEC"))).replace(b"$1\r\nx", _bulk)
            )
            client.read(b"+OK\r\n+OK\r\n" + refusal + b"-EXECABORT")


_bulk = b"$%d\r\n%b" % (len(TOKEN), TOKEN.encode())


def _words(command: str) -> bytes:
    return encode_request(*command.split())


def test_families_of_a_user(guarded: RunningServer) -> None:
    """There, and nowhere else; not by SELECT within MULTI either."""
    number = guarded.store.families["sessions"]
    with guarded.connect() as client:
        client.command("AUTH", "sessions", TOKEN)
        client.read(b"+OK\r\n")
        client.send(_words(f"SELECT {number}") + _words("SET k v") + _words("GET k"))
        client.read(b"+OK\r\n+OK\r\n$1\r\nv\r\n")
        client.send(_words("MULTI") + _words("SELECT 0") + _words("SET k w") + _words("EXEC"))
        client.read(b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n-NOPERM User sessions")
    assert guarded.store.get(b"k") is None


def test_nobody_logs_in_within_a_transaction(guarded: RunningServer) -> None:
    """What AUTH says at once, a queued HELLO would say in the middle, or in a thread."""
    with guarded.connect() as client:
        client.command("AUTH", "app", TOKEN)
        client.read(b"+OK\r\n")
        client.send(_words("MULTI") + _words("HELLO 3 AUTH admin wrong") + _words("EXEC"))
        client.read(b"+OK\r\n-ERR HELLO inside MULTI is not supported\r\n-EXECABORT")
    assert guarded.server.state.stats.errors == 0


def test_a_user_who_is_removed_in_the_middle_of_a_pipeline_is_sent_away(guarded: RunningServer) -> None:
    with guarded.connect() as client:
        client.command("AUTH", "app", TOKEN)
        client.read(b"+OK\r\n")

        def remove() -> None:
            guarded.server.state.login.users = Users({name: USERS[name] for name in ("reader",)})
            guarded.server.users_changed()

        guarded.call(remove)
        try:
            for _ in range(200):
                client.send(encode_request("SET", "k", "v"))
                time.sleep(0)
        except OSError:
            pass
        eventually(lambda: not guarded.server.connections)


def test_the_default_user_has_no_password_that_is_right(guarded: RunningServer) -> None:
    """It may do nothing here; where it may something, any password is right, as in Redis."""
    with guarded.connect() as client:
        client.send(
            _words("AUTH default x") + _words("AUTH x") + _words("HELLO 3 AUTH default x") + _words("HELLO")
        )
        client.read(b"-WRONGPASS invalid username-password pair or user is disabled.\r\n-ERR AUTH <password>")
        rest = client.read_line() + client.read_line() + client.read_line()
        assert b"-WRONGPASS" in rest and b"-NOAUTH HELLO" in rest


def test_guesses_become_slow(guarded: RunningServer) -> None:
    """Those of one address, and no others are slowed meanwhile; a wrong user looks as a wrong secret does."""
    with guarded.connect() as client, guarded.connect() as other:
        for user in ("app", "nobody", "app", "nobody", "app"):
            client.command("AUTH", user, "wrong")
            assert client.read_line() == b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
        other.command("AUTH", "app", TOKEN)
        other.read(b"+OK\r\n")
    assert guarded.server.state.login.refused_logins == 5
