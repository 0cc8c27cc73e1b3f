"""CLIENT: the connections, by one of them: names, lists, ends and pauses them."""

from __future__ import annotations

from replicad.server import refusals, replies
from replicad.server.client_pause import Paused
from replicad.server.client_state import ClientState
from replicad.server.commands.arguments import NAME, checked_name, parse_count, parse_integer
from replicad.server.commands.container import ANY, Container, Subcommand
from replicad.server.commands.table import Group
from replicad.server.refusals import Refused
from replicad.server.requests import Request
from replicad.server.server_state import ConnectedClient

clients = Group("connection")

PAUSE_MS_MAX = 366 * 86_400_000
"""A year: more is a mistake."""


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
        "KILL <address | [ID <id>] [ADDR <address>] [USER <name>] [TYPE <NORMAL|PUBSUB>] [SKIPME <YES|NO>]>",
        "Ends the connections that all filters choose.",
        1,
        10,
    ),
    Subcommand(
        "PAUSE <milliseconds> [WRITE | ALL]",
        "For this time, commands wait that write, or that read or write keys (ALL, as without a word).",
        1,
        2,
    ),
    Subcommand("UNPAUSE", "Ends that pause."),
    Subcommand("REPLY ON", "Replies are always on.", 1, 1),
    Subcommand("NO-EVICT <ON|OFF>", "Accepted: no connection is evicted.", 1, 1, _on_or_off),
    Subcommand("NO-TOUCH <ON|OFF>", "Accepted: there are no access times.", 1, 1, _on_or_off),
)


@clients.command("client", -2, "Names and lists connections.", container=_CLIENT)
def client_(client: ClientState, request: Request) -> bytes:
    rest = request[2:]
    match request[1].upper():
        case b"ID":
            return replies.integer(client.id)
        case b"GETNAME":
            return replies.bulk(client.name) if client.name else client.nil
        case b"SETNAME":
            client.name = checked_name(rest[0])
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
        case b"PAUSE":
            return _pause(client, rest)
        case b"UNPAUSE":
            client.server.pause.end()
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
        return _of_type(clients, wanted)
    if kind == b"ID" and values:
        try:
            ids = {parse_count(value) for value in values}
        except Refused:
            raise Refused(replies.error("ERR Invalid client ID")) from None
        return [other for other in clients if other.id in ids]
    raise Refused(refusals.SYNTAX)


def _of_type(clients: list[ConnectedClient], wanted: bytes) -> list[ConnectedClient]:
    """Replicas have a port of their own, so the others are of no other type."""
    has_subscribed = {b"normal": False, b"pubsub": True}
    return [each for each in clients if each.has_subscribed is has_subscribed.get(wanted)]


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
            case b"TYPE", b"NORMAL" | b"PUBSUB":
                chosen = _of_type(chosen, value.lower())
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


def _pause(client: ClientState, rest: Request) -> bytes:
    try:
        milliseconds = parse_integer(rest[0])
    except Refused:
        milliseconds = PAUSE_MS_MAX + 1
    if milliseconds > PAUSE_MS_MAX:
        return replies.error("ERR timeout is not an integer or out of range")
    if milliseconds < 0:
        return replies.error("ERR timeout is negative")
    mode = rest[1].upper() if len(rest) == 2 else b"ALL"
    if mode not in (b"WRITE", b"ALL"):
        return replies.error("ERR CLIENT PAUSE mode must be WRITE or ALL")
    client.server.pause.begin(Paused.WRITES if mode == b"WRITE" else Paused.ALL, milliseconds / 1000)
    return replies.OK


def _set_info(client: ClientState, attribute: bytes, value: bytes) -> bytes:
    if not NAME.fullmatch(value):
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
