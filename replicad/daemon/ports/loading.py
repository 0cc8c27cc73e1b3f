"""The client port of a replica that has no data yet.

An empty replica must not answer reads as if the keys were not there: everything is -LOADING but the
status and what clients say when they connect.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from replicad.env.events import get_logger
from replicad.net.addresses import Address
from replicad.net.doors import CLEAR, Door, Listener, peer_certificate
from replicad.net.unix import UnixListener, is_operator, listen_at
from replicad.options import KIB, MIB
from replicad.server import ServerOptions, refusals, replies
from replicad.server.access.login import Login
from replicad.server.access.users import DEFAULT, OPERATOR, User, Users
from replicad.server.connection import LOGIN_SECONDS_MAX
from replicad.server.requests import RequestParser

log = get_logger("replicad.daemon")


VERSION = b"7.2.0"
"""The version of Redis whose commands ours follow."""
LIMITS = ServerOptions(
    arguments_max=1024,
    bulk_bytes_max=64 * KIB,
    request_bytes_max=64 * KIB,
    output_bytes_max=MIB,
)
"""Of one client. One that leaves more output unread is closed."""
LOADING = b"-LOADING this replica has no data yet; REPLICAD.STATUS says how far it is\r\n"

CLIENTS_MAX = 1000
"""Who comes beyond that is refused: the copy that comes needs descriptors, too."""


class LoadingServer:
    """Answers AUTH, REPLICAD.STATUS, HELLO, CLIENT and QUIT, and says LOADING to the rest."""

    def __init__(self, status: Callable[[], dict[str, Any]], login: Login | None = None) -> None:
        self.status = status
        self.login = login or Login(Users({}))
        self.clients: set[asyncio.Transport] = set()
        self._listener: Listener | None = None
        self._unix_listener: UnixListener | None = None

    async def start(
        self, address: Address, door: Door = CLEAR, unix: tuple[Path, int] | None = None
    ) -> Address:
        """Listens; the address names the port when 0 was asked for."""
        self._listener, bound = await door.listen(lambda: _Client(self), address)
        if unix is not None:
            self._unix_listener = await listen_at(*unix, lambda: _Client(self))
        return bound

    def users_changed(self) -> None:
        """Ends all connections: who goes on has to log in again."""
        for transport in list(self.clients):
            transport.close()

    async def close(self) -> None:
        for listener in (self._listener, self._unix_listener):
            if listener is not None:
                listener.close()
        for transport in list(self.clients):
            transport.close()

    def reply(self, command: list[bytes], user: User) -> bytes:
        if not user.rights:
            return refusals.NOT_LOGGED_IN
        match command[0].upper():
            case b"REPLICAD.STATUS":
                return _bulk(json.dumps(self.status()).encode())
            case b"HELLO":
                return _hello(command[1:])
            case b"CLIENT":
                known = len(command) > 1 and command[1].upper() in (b"SETINFO", b"SETNAME")
                return b"+OK\r\n" if known else b"-ERR unknown subcommand\r\n"
        return LOADING


def _hello(arguments: list[bytes]) -> bytes:
    """The protocol that was asked for, and who this is, as RESP2 array or RESP3 map."""
    protocol = arguments[0] if arguments else b"2"
    if protocol not in (b"2", b"3"):
        return b"-NOPROTO unsupported protocol version\r\n"
    facts = {b"server": b"replicad", b"version": VERSION, b"mode": b"standalone", b"role": b"replica"}
    start = b"%%%d\r\n" % (len(facts) + 2) if protocol == b"3" else b"*%d\r\n" % (2 * (len(facts) + 2))
    texts = b"".join(_bulk(name) + _bulk(value) for name, value in facts.items())
    return start + texts + _bulk(b"proto") + b":%s\r\n" % protocol + _bulk(b"modules") + b"*0\r\n"


def _bulk(data: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(data), data)


class _Client(asyncio.Protocol):
    def __init__(self, server: LoadingServer) -> None:
        self._server = server
        self._parser = RequestParser(LIMITS)
        self._user = server.login.users.anonymous
        self._asked: deque[list[bytes]] = deque()
        self._logging_in: asyncio.Task[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        """Of the login, where nobody may do anything before."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if len(self._server.clients) >= CLIENTS_MAX:
            self._transport.write(refusals.TOO_MANY_CLIENTS)
            self._transport.close()
            return
        self._server.clients.add(self._transport)
        self._user = self._server.login.who_comes(peer_certificate(transport))
        if transport.get_extra_info("peername") == "" and is_operator(
            transport.get_extra_info("socket").fileno()
        ):
            self._user = OPERATOR
        if not self._user.rights:
            self._deadline = asyncio.get_running_loop().call_later(LOGIN_SECONDS_MAX, self._too_late)

    def _too_late(self) -> None:
        if not self._user.rights:
            log.warning("server.client_closed", client=self._peer, reason="did not log in")
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._server.clients.discard(self._transport)
        if self._deadline is not None:
            self._deadline.cancel()
        if self._logging_in is not None:
            self._logging_in.cancel()

    def data_received(self, data: bytes) -> None:
        transport = self._transport
        if transport.is_closing():
            return

        self._asked.extend(self._parser.feed(data))
        self._answer()

    def _answer(self) -> None:
        """All that was asked, up to an AUTH whose answer takes a while."""
        transport = self._transport
        while self._asked and self._logging_in is None and not transport.is_closing():
            command = self._asked.popleft()
            if command[0].upper() == b"QUIT":
                transport.write(b"+OK\r\n")
                transport.close()
            elif (secret := self._login_in(command)) is not None:
                self._logging_in = asyncio.get_running_loop().create_task(self._log_in(command, *secret))
                transport.pause_reading()
            else:
                transport.write(self._server.reply(command, self._user))

            # A client that sends much and reads nothing would fill the memory with answers.
            if transport.get_write_buffer_size() > LIMITS.output_bytes_max:
                transport.abort()
                return

        if self._parser.error is not None and not self._asked:
            transport.write(replies.error(f"ERR Protocol error: {self._parser.error}"))
            transport.close()

    @property
    def _peer(self) -> str:
        name = self._transport.get_extra_info("peername")
        return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "unix:"

    async def _log_in(self, command: list[bytes], name: str, secret: bytes) -> None:
        login = self._server.login
        host = self._peer.rpartition(":")[0]
        user = login.quickly(name, secret) or await login.slowly(name, secret, host)
        if user is None:
            log.warning("server.login_refused", client=self._peer, user=name[:64])
            self._transport.write(refusals.WRONG_PASSWORD)
        else:
            self._user = user
            is_hello = command[0].upper() == b"HELLO"
            self._transport.write(self._server.reply(command, user) if is_hello else replies.OK)
        self._logging_in = None
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self._answer()

    def _login_in(self, command: list[bytes]) -> tuple[str, bytes] | None:
        """User and secret of AUTH, or of HELLO with AUTH, where there are users."""
        if self._server.login.users.is_open:
            return None
        match [command[0].upper(), *command[1:]]:
            case [b"AUTH", secret]:
                return DEFAULT, secret
            case [b"AUTH", name, secret]:
                return name.decode("utf-8", "replace"), secret
            case [b"HELLO", _, option, name, secret, *_] if option.upper() == b"AUTH":
                return name.decode("utf-8", "replace"), secret
        return None
