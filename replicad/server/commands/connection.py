"""Commands on the connection itself: greeting, protocol, database, MONITOR, the end."""

from __future__ import annotations

from collections.abc import Callable

from replicad.env.events import get_logger
from replicad.replication.links.records import SYSTEM_PREFIX
from replicad.server import refusals, replies
from replicad.server.access.users import DEFAULT
from replicad.server.client_state import ClientState
from replicad.server.commands.arguments import checked_name, parse_integer
from replicad.server.commands.table import Group
from replicad.server.info import REDIS_VERSION
from replicad.server.later import AsTask, Reply
from replicad.server.refusals import Refused
from replicad.server.requests import Request

connection = Group("connection")
log = get_logger()


@connection.command("ping", -1, "Answers PONG, or its argument.", usage="[message]")
def ping(client: ClientState, request: Request) -> bytes:
    if len(request) > 2:
        return refusals.wrong_arity("ping")
    if client.only_hears:
        return replies.bulk_array([b"pong", request[1] if len(request) == 2 else b""])
    return replies.PONG if len(request) == 1 else replies.bulk(request[1])


@connection.command("echo", 2, "Answers its argument.", usage="message")
def echo(client: ClientState, request: Request) -> bytes:
    client.weigh(len(request[1]))
    return replies.bulk(request[1])


@connection.command("select", 2, "Chooses the database: the number of a column family.", usage="number")
def select(client: ClientState, request: Request) -> bytes:
    number = parse_integer(request[1])
    names = {id: name for name, id in client.server.store.families.items()}
    if number and (number not in names or names[number].startswith(SYSTEM_PREFIX)):
        return refusals.NO_SUCH_DATABASE
    client.select(number)
    return replies.OK


@connection.command("auth", -2, "Logs in.", usage="[username] password", immediate=True)
def auth(client: ClientState, request: Request) -> Reply:
    users = client.server.login.users
    if len(request) == 2:
        if users.is_open or users.default is users.anonymous:
            return refusals.NO_PASSWORD
        return _log_in(client, DEFAULT.encode(), request[1], lambda: replies.OK)
    if len(request) != 3:
        return refusals.SYNTAX
    return _log_in(client, request[1], request[2], lambda: replies.OK)


def _log_in(client: ClientState, name: bytes, secret: bytes, then: Callable[[], bytes]) -> Reply:
    """`then` makes the reply once the client is logged in; a wrong secret is answered by its refusal."""
    login = client.server.login
    user_name = name.decode("utf-8", "replace")
    if user_name == DEFAULT and login.users.default is login.users.anonymous and login.users.default.rights:
        # It has no password, so that any is right, as in Redis.
        client.log_in(login.users.default)
        return then()
    user = login.quickly(user_name, secret)
    if user is not None:
        client.log_in(user)
        return then()

    async def slowly() -> bytes:
        user = await login.slowly(user_name, secret, client.host)
        if user is None:
            log.warning("server.login_refused", client=client.peer, client_id=client.id, user=user_name[:64])
            return refusals.WRONG_PASSWORD
        client.log_in(user)
        return then()

    return AsTask(slowly)


@connection.command("quit", -1, "Ends the connection.", immediate=True)
def quit_(client: ClientState, request: Request) -> bytes:
    client.quit()
    return replies.OK


@connection.command("reset", 1, "Resets the connection to its first state.", immediate=True)
def reset(client: ClientState, request: Request) -> bytes:
    client.discard()
    client.forget_annotations()
    client.server.monitors.forget(client)
    client.server.channels.forget(client)
    client.select(0)
    client.replies.wait_for_replicas(True)
    client.name = b""
    client.come_back()
    client.speak(2)
    return b"+RESET\r\n"


def _check_hello(request: Request) -> bytes | None:
    """A transaction is one user's."""
    return refusals.not_in_transaction("hello") if len(request) > 2 else None


@connection.command(
    "hello",
    -1,
    "Agrees on the protocol's version.",
    usage="[protover [AUTH username password] [SETNAME clientname]]",
    check=_check_hello,
)
def hello(client: ClientState, request: Request) -> Reply:
    version, name = client.protocol, None
    credentials: tuple[bytes, bytes] | None = None
    if len(request) > 1:
        try:
            version = parse_integer(request[1])
        except Refused:
            return replies.error("ERR Protocol version is not an integer or out of range")
        if version not in (2, 3):
            return refusals.BAD_PROTOCOL_VERSION

    # All options are read before anything is changed: a HELLO that is refused changes nothing.
    position = 2
    while position < len(request):
        option, left = request[position].upper(), len(request) - position - 1
        if option == b"AUTH" and left >= 2:
            credentials = request[position + 1], request[position + 2]
            position += 3
        elif option == b"SETNAME" and left >= 1:
            name = checked_name(request[position + 1])
            position += 2
        else:
            return replies.error(b"ERR Syntax error in HELLO option '%b'" % request[position][:64])

    def greet() -> bytes:
        if not client.rights:
            return refusals.HELLO_NOT_LOGGED_IN
        if name is not None:
            client.name = name
        client.speak(version)
        return _greeting(client, version)

    return greet() if credentials is None else _log_in(client, *credentials, greet)


def _greeting(client: ClientState, version: int) -> bytes:
    server = client.server
    return replies.encode(
        {
            "server": "replicad",
            "version": REDIS_VERSION,
            "proto": version,
            "id": client.id,
            "mode": "standalone",
            "role": "master" if server.node.role == "primary" else "replica",
            "modules": [],
        },
        version,
    )


def _check_monitor(request: Request) -> bytes:
    return refusals.not_in_transaction("monitor")


@connection.command(
    "monitor", 1, "Shows the commands of all clients, until RESET or the end.", check=_check_monitor
)
def monitor(client: ClientState, request: Request) -> bytes:
    client.server.monitors.add(client)
    return replies.OK
