"""Commands on the connection itself: greeting, name, protocol, database, the end."""

from __future__ import annotations

import re
from collections.abc import Callable

from replicad.env.events import get_logger
from replicad.server import refusals, replies
from replicad.server.access.users import DEFAULT
from replicad.server.client_state import ClientState
from replicad.server.commands.arguments import parse_count, parse_integer
from replicad.server.commands.container import ANY, Container, Subcommand
from replicad.server.commands.table import Group
from replicad.server.info import REDIS_VERSION
from replicad.server.later import AsTask, Reply
from replicad.server.refusals import Refused
from replicad.server.requests import Request
from replicad.server.server_state import ConnectedClient

connection = Group("connection")
log = get_logger()

_NAME = re.compile(rb"[!-~]{0,256}")


@connection.command("ping", -1, "Answers PONG, or its argument.", usage="[message]")
def ping(client: ClientState, request: Request) -> bytes:
    if len(request) > 2:
        return refusals.wrong_arity("ping")
    return replies.PONG if len(request) == 1 else replies.bulk(request[1])


@connection.command("echo", 2, "Answers its argument.", usage="message")
def echo(client: ClientState, request: Request) -> bytes:
    client.weigh(len(request[1]))
    return replies.bulk(request[1])


@connection.command("select", 2, "Chooses the database: the number of a column family.", usage="number")
def select(client: ClientState, request: Request) -> bytes:
    number = parse_integer(request[1])
    if number and number not in client.server.store.families.values():
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
            log.warning("server.login_refused", client=client.peer, user=user_name[:64])
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
            name = _checked_name(request[position + 1])
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


def _checked_name(name: bytes) -> bytes:
    if not _NAME.fullmatch(name):
        raise Refused(
            replies.error("ERR Client names cannot contain spaces, newlines or special characters.")
        )
    return name


def _on_or_off(request: Request) -> bytes | None:
    return None if request[2].upper() in (b"ON", b"OFF") else refusals.SYNTAX


_CLIENT = Container(
    "client",
    Subcommand("ID", "Returns the number of this connection."),
    Subcommand("INFO", "Describes this connection in one line."),
    Subcommand("GETNAME", "Returns the name of this connection."),
    Subcommand("SETNAME <name>", "Names this connection.", 1, 1),
    Subcommand("SETINFO <LIB-NAME|LIB-VER> <value>", "Says which library this client uses.", 2, 2),
    Subcommand("LIST [TYPE <NORMAL|MASTER|REPLICA|PUBSUB> | ID <id> ...]", "Lists connections.", 0, ANY),
    Subcommand(
        "KILL <address | [ID <id>] [ADDR <address>] [USER <name>] [TYPE <NORMAL>] [SKIPME <YES|NO>]>",
        "Ends the connections that all filters choose.",
        1,
        10,
    ),
    Subcommand("REPLY ON", "Replies are always on.", 1, 1),
    Subcommand("NO-EVICT <ON|OFF>", "Accepted: no connection is evicted.", 1, 1, _on_or_off),
    Subcommand("NO-TOUCH <ON|OFF>", "Accepted: there are no access times.", 1, 1, _on_or_off),
)


@connection.command("client", -2, "Names and lists connections.", container=_CLIENT)
def client_(client: ClientState, request: Request) -> bytes:
    rest = request[2:]
    match request[1].upper():
        case b"ID":
            return replies.integer(client.id)
        case b"GETNAME":
            return replies.bulk(client.name) if client.name else client.nil
        case b"SETNAME":
            client.name = _checked_name(rest[0])
            return replies.OK
        case b"SETINFO":
            return _set_info(client, rest[0].upper(), rest[1])
        case b"INFO":
            return replies.verbatim(client.describe() + b"\n", client.protocol)
        case b"LIST":
            lines = [other.describe() for other in _listed(client, rest)]
            return replies.verbatim(b"\n".join([*lines, b""]), client.protocol)
        case b"KILL":
            return _kill(client, rest)
        case b"REPLY":
            return replies.OK if rest[0].upper() == b"ON" else replies.error("ERR CLIENT REPLY is always ON")
    return replies.OK


def _listed(client: ClientState, options: Request) -> list[ConnectedClient]:
    """The connections that the options of CLIENT LIST choose: replicas have a port of their own."""
    clients = list(client.server.clients)
    if not options:
        return clients
    kind, values = options[0].upper(), options[1:]
    if kind == b"TYPE" and len(values) == 1:
        wanted = values[0].lower()
        if wanted not in (b"normal", b"master", b"replica", b"slave", b"pubsub"):
            raise Refused(replies.error(b"ERR Unknown client type '%b'" % values[0][:64]))
        return clients if wanted == b"normal" else []
    if kind == b"ID" and values:
        try:
            ids = {parse_count(value) for value in values}
        except Refused:
            raise Refused(replies.error("ERR Invalid client ID")) from None
        return [other for other in clients if other.id in ids]
    raise Refused(refusals.SYNTAX)


def _kill(client: ClientState, options: Request) -> bytes:
    """Which are ended: those that all filters choose, but not this one, unless SKIPME says so."""
    if len(options) == 1:
        chosen = [other for other in client.server.clients if other.peer.encode() == options[0]]
        if not chosen:
            return replies.error("ERR No such client")
        _end(client, chosen)
        return replies.OK
    if len(options) % 2:
        return refusals.SYNTAX
    chosen, skips_me = list(client.server.clients), True
    for name, value in zip(options[::2], options[1::2], strict=True):
        match name.upper(), value.upper():
            case b"ID", _:
                wanted = parse_count(value)
                chosen = [other for other in chosen if other.id == wanted]
            case b"ADDR", _:
                chosen = [other for other in chosen if other.peer.encode() == value]
            case b"USER", _:
                chosen = [other for other in chosen if other.user.name.encode() == value]
            case b"TYPE", b"NORMAL":
                pass
            case b"SKIPME", b"YES" | b"NO":
                skips_me = value.upper() == b"YES"
            case _:
                return refusals.SYNTAX
    if skips_me:
        chosen = [other for other in chosen if other is not client]
    _end(client, chosen)
    return replies.integer(len(chosen))


def _end(client: ClientState, chosen: list[ConnectedClient]) -> None:
    """The client that asks gets its reply before it is ended."""
    for other in chosen:
        if other is client:
            client.quit()
        else:
            client.server.kill(other)


def _set_info(client: ClientState, attribute: bytes, value: bytes) -> bytes:
    if not _NAME.fullmatch(value):
        return replies.error(
            f"ERR {attribute.decode('ascii', 'replace').lower()} "
            "cannot contain spaces, newlines or special characters."
        )
    if attribute == b"LIB-NAME":
        client.library = value
    elif attribute == b"LIB-VER":
        client.library_version = value
    else:
        return replies.error(b"ERR Unrecognized option '%b'" % attribute[:64])
    return replies.OK
