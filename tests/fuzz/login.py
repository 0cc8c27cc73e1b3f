"""Streams of RESP that nobody meant, to a real server, before anybody has logged in.

The server runs in this process, with users, in clear text and over TLS. A stream is drawn from a grammar of
commands, HELLO, AUTH, inline requests and broken framing; then some of its bytes are changed, and it is cut
into pieces. Whatever it is:

- replies are errors of a list, or what RESET and QUIT say;
- nothing is executed: the store, the node and the server's count of commands stay as they were;
- the connection closes after `REFUSALS_BEFORE_LOGIN_MAX` refusals;
- what the server keeps of a connection is bounded;
- nothing raises: no error in the log, none of the event loop or of a thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import random
import re
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from replicad.env import events
from replicad.net.doors import Door
from replicad.options import Options
from replicad.server.access.attempts import FailedAttempts
from replicad.server.access.login import Login
from replicad.server.access.roles import Role
from replicad.server.access.secrets import token_sha256
from replicad.server.access.users import UserOptions, Users
from replicad.server.client_state import REFUSALS_BEFORE_LOGIN_MAX
from replicad.server.commands import COMMANDS
from replicad.store.database import open_database
from tests.fuzz.search import Found
from tests.server.harness import FakeNode, RunningServer, encode_request
from tests.support.certificates import Authority
from tests.support.waiting import eventually

TARGET = "login"
TOKEN = "a token that no stream can guess, 5b1f0a2c"
USERS = {
    "app": UserOptions(roles=(Role.WRITE,), token_sha256=token_sha256(TOKEN)),
    "operator": UserOptions(roles=(Role.ADMIN,)),
}
REPLY = re.compile(
    rb"-(NOAUTH|WRONGPASS|NOPROTO|ERR (Protocol error|wrong number of arguments|Syntax error|syntax error"
    rb"|Protocol version|unknown command|unknown subcommand|AUTH|Client names"
    rb"|this connection ends))[^\r\n]*\r\n|\+RESET\r\n|\+OK\r\n"
)
KEPT_BYTES_MAX = 32 * 1024 + 16 * 1024
"""Of a connection: a request of `LIMITS_BEFORE_LOGIN`, and what lies around it."""
SILENCE_SECONDS = 0.05
"""A TLS client cannot say that it sends no more. Where QUIT does not end it, it waits as long as this."""

_WORDS = [b"", b"0", b"-1", b"2", b"3", b"4", b"99999999999999999999", b"default", b"app", b"operator", b"x"]
_WORDS += [b"AUTH", b"SETNAME", b"LIST", b"WHOAMI", b"\xff\x00\r\n", b"k", b"a b", b"'", b"v" * 1000]
_BROKEN = [b"*-1\r\n", b"*0\r\n", b"*1\r\n$-1\r\n", b"*2\r\n$4\r\nAUTH\r\n", b"$5\r\nhello\r\n", b"*17\r\n"]
_BROKEN += [
    b"*1\r\n$16385\r\n",
    b"*99999999999\r\n",
    b"*1\r\n:1\r\n",
    b"\r\n",
    b"\n",
    b"*\r\n",
    b"*1\r\n$0\r\n\r\n",
]
_BROKEN += [
    b"GET k\r\n",
    b'AUTH "app" "x\r\n',
    b"AUTH app \\\r\n",
    b"x" * 5000,
    b"%1\r\n+a\r\n+b\r\n",
    b"\0" * 40,
]


def draw(rng: random.Random) -> bytes:
    """One stream."""
    parts = [_request(rng) for _ in range(rng.choice([1, 2, 3, 5, 8, 30]))]
    data = bytearray(b"".join(parts))
    if rng.random() < 0.4:
        for _ in range(rng.randrange(1, 5)):
            at = rng.randrange(len(data) + 1)
            piece = rng.choice([rng.randbytes(rng.randrange(4)), rng.choice(_BROKEN), rng.choice(_WORDS)])
            data[at : at + rng.choice([0, 1, 2, 8])] = piece
    if rng.random() < 0.2:
        del data[rng.randrange(len(data) + 1) :]
    return bytes(data)


def _request(rng: random.Random) -> bytes:
    kind = rng.random()
    words = [rng.choice(_WORDS) for _ in range(rng.randrange(5))]
    if kind < 0.2:
        return encode_request(b"AUTH", *words)
    if kind < 0.45:
        return encode_request(b"HELLO", rng.choice([b"2", b"3", b"4", b"three"]), *words)
    if kind < 0.55:
        return rng.choice(_BROKEN)
    if kind < 0.62:
        name = rng.choice([b"AUTH", b"GET", b"HELLO", b"SHUTDOWN"])
        return name + b" " + b" ".join(word for word in words if b"\r" not in word) + b"\r\n"
    if kind < 0.65:
        return encode_request(
            rng.choice([b"AUTH", b"SET"]), b"app", b"x" * rng.choice([1, 16_000, 16_384, 16_385])
        )
    name = rng.choice(sorted(COMMANDS)).encode()
    return encode_request(rng.choice([name, name.upper(), name.title()]), *words)


class _NoPatience(FailedAttempts):
    """Guesses wait for nothing, so that there are many."""

    def failed(self, host: str, now: float) -> float:
        super().failed(host, now)
        return 0.0


class Guarded:
    """Both servers, and what went wrong in them. A context manager."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self._stack = contextlib.ExitStack()
        self.servers: list[RunningServer] = []

    def __enter__(self) -> Guarded:
        directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="replicad-login-")))
        self._stack.enter_context(_watched(self.wrong))
        authority = Authority.make(directory / "ca")
        door = Door("clients", authority.options("server").material("clients"))
        for name, more in (("clear", {}), ("tls", {"door": door})):
            login = Login(Users(USERS))
            login._attempts = _NoPatience()
            store = open_database(directory / name, Options(durability="async"))
            server = RunningServer(store, on_uvloop=True, login=login, **more)  # type: ignore[arg-type]
            self.servers.append(server)
            self._stack.callback(store.close)
            self._stack.callback(server.close)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def run(self, data: bytes) -> None:
        """Sends the stream to both; raises AssertionError where an invariant does not hold."""
        for server in self.servers:
            replies = _exchange(server, data)
            _check_replies(replies)
            eventually(lambda server=server: not server.server.connections)  # type: ignore[misc]
            _check_nothing_was_done(server)
        assert not self.wrong, self.wrong


def connect(server: RunningServer, source: str) -> socket.socket:
    """From an address of its own in 127.0.0.0/8."""
    plain = socket.create_connection(("127.0.0.1", server.port), timeout=10, source_address=(source, 0))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    contexts = server.door.contexts
    return plain if contexts is None else contexts.client.wrap_socket(plain)


def _exchange(server: RunningServer, data: bytes) -> bytes:
    """What is answered to the stream, sent in pieces that its content decides."""
    rng = random.Random(hashlib.sha256(data).digest())
    source = f"127.{rng.randrange(1, 255)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"
    replies: list[bytes] = []
    with connect(server, source) as client, contextlib.suppress(OSError):
        at = 0
        while at < len(data):
            size = rng.choice([1, 3, 20, 1000, 100_000])
            client.sendall(data[at : at + size])
            at += size
        if server.door.is_tls:
            client.sendall(b"QUIT\r\n")
            client.settimeout(SILENCE_SECONDS)
        else:
            client.shutdown(socket.SHUT_WR)
        _check_kept(server)
        with contextlib.suppress(TimeoutError):
            while chunk := client.recv(65536):
                replies.append(chunk)
    return b"".join(replies)


def _check_replies(replies: bytes) -> None:
    at = refused = 0
    while at < len(replies):
        found = REPLY.match(replies, at)
        assert found is not None, replies[at : at + 200]
        refused += found[0].startswith(b"-NOAUTH Authentication")
        at = found.end()
        if refused == REFUSALS_BEFORE_LOGIN_MAX:
            assert at == len(replies), f"answers after {refused} refusals: {replies[at : at + 200]!r}"


def _check_kept(server: RunningServer) -> None:
    for connection in list(server.server.connections.values()):
        kept = connection.buffered_bytes
        assert kept <= KEPT_BYTES_MAX + (1 << 18) * server.door.is_tls, f"{kept} bytes of one connection"


def _check_nothing_was_done(server: RunningServer) -> None:
    assert server.store.latest_sequence == 0
    assert server.store.families == {"default": 0}
    assert server.shutdowns == 0
    fresh, node = FakeNode(), server.node
    for name in ("role", "promoted", "backups", "reloads", "repairs", "corruptions", "copy_bytes_per_second"):
        assert getattr(node, name) == getattr(fresh, name), name


def search_streams(*, seconds: float, first_seed: int, streams: int | None = None) -> Found:
    """Sends streams until the time is over, or so many, or one fails."""
    found, until = Found(), time.monotonic() + seconds
    with Guarded() as guarded:
        while found.inputs != streams and (streams is not None or time.monotonic() < until):
            data = draw(random.Random(first_seed + found.inputs))
            found.inputs += 1
            try:
                guarded.run(data)
            except Exception as error:
                found.failing, found.error = data, error
                break
    return found


def replay(data: bytes) -> None:
    with Guarded() as guarded:
        guarded.run(data)


@contextlib.contextmanager
def _watched(wrong: list[str]) -> Iterator[None]:
    """Notes every error in the log, of an event loop, and of a thread."""

    class Errors(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            wrong.append(record.getMessage())

    def write(level: str, event: str, fields: dict[str, Any]) -> None:
        if level in ("error", "critical") or "traceback" in fields or "exc_info" in fields:
            wrong.append(f"{event} {fields}")

    def thread_failed(failure: threading.ExceptHookArgs) -> None:
        wrong.append(f"in {failure.thread}: {failure.exc_value!r}")

    handler, before, hook = Errors(logging.ERROR), events._writer, threading.excepthook
    logging.getLogger("asyncio").addHandler(handler)
    events._writer, threading.excepthook = write, thread_failed
    try:
        yield
    finally:
        logging.getLogger("asyncio").removeHandler(handler)
        events._writer, threading.excepthook = before, hook
