"""Commands on the connection itself: greeting, name, protocol, database, the end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from replicad.server import refusals, replies
from replicad.server.commands.arguments import parse_integer
from replicad.server.commands.table import Group
from replicad.server.refusals import Refused
from replicad.server.requests import Request

if TYPE_CHECKING:
    from replicad.server.connection import Connection

session = Group("connection")

_NAME = re.compile(rb"[!-~]{0,256}")


@session.command("ping", -1, "Answers PONG, or its argument.")
def ping(client: Connection, request: Request) -> bytes:
    if len(request) > 2:
        return refusals.wrong_arity("ping")
    return replies.PONG if len(request) == 1 else replies.bulk(request[1])


@session.command("echo", 2, "Answers its argument.")
def echo(client: Connection, request: Request) -> bytes:
    client.weigh(len(request[1]))
    return replies.bulk(request[1])


@session.command("select", 2, "Chooses the database: the number of a column family.")
def select(client: Connection, request: Request) -> bytes:
    number = parse_integer(request[1])
    if number and number not in client.server.store.families.values():
        return refusals.NO_SUCH_DATABASE
    client.select(number)
    return replies.OK


@session.command("auth", -2, "Refused: no password is set.")
def auth(client: Connection, request: Request) -> bytes:
    return refusals.NO_PASSWORD if len(request) <= 3 else refusals.SYNTAX


@session.command("quit", -1, "Ends the connection.", immediate=True)
def quit_(client: Connection, request: Request) -> bytes:
    client.quit()
    return replies.OK


@session.command("reset", 1, "Makes the connection like a new one.", immediate=True)
def reset(client: Connection, request: Request) -> bytes:
    client.discard()
    client.forget_annotations()
    client.select(0)
    client.wait_for_replicas(True)
    client.name = b""
    _speak(client, 2)
    return b"+RESET\r\n"


@session.command("hello", -1, "Agrees on the protocol's version.")
def hello(client: Connection, request: Request) -> bytes:
    version, name = client.protocol, None
    if len(request) > 1:
        try:
            version = parse_integer(request[1])
        except Refused:
            return replies.error("ERR Protocol version is not an integer or out of range")
        if version not in (2, 3):
            return refusals.BAD_PROTOCOL_VERSION
    options = request[2:]
    while options:
        option = options[0].upper()
        if option == b"AUTH" and len(options) >= 3:
            return refusals.NO_PASSWORD
        if option != b"SETNAME" or len(options) < 2:
            return replies.error(b"ERR Syntax error in HELLO option '%b'" % options[0][:64])
        name, options = _checked_name(options[1]), options[2:]
    if name is not None:
        client.name = name
    _speak(client, version)
    server = client.server
    return replies.encode(
        {
            "server": "replicad",
            "version": server.version,
            "proto": version,
            "id": client.id,
            "mode": "standalone",
            "role": "master" if server.node.role == "primary" else "replica",
            "modules": [],
        },
        version,
    )


def _speak(client: Connection, protocol: int) -> None:
    client.protocol = protocol
    client.nil = replies.nil(protocol)


def _checked_name(name: bytes) -> bytes:
    if not _NAME.fullmatch(name):
        raise Refused(
            replies.error("ERR Client names cannot contain spaces, newlines or special characters.")
        )
    return name


@session.command("client", -2, "Names and lists connections.")
def client_(client: Connection, request: Request) -> bytes:
    subcommand = request[1].upper()
    rest = request[2:]
    expected = {
        b"ID": 0,
        b"INFO": 0,
        b"GETNAME": 0,
        b"SETNAME": 1,
        b"SETINFO": 2,
        b"REPLY": 1,
        b"NO-EVICT": 1,
    }
    if subcommand in expected and len(rest) != expected[subcommand]:
        return refusals.wrong_arity(f"client|{subcommand.decode().lower()}")
    match subcommand:
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
            return replies.verbatim(describe(client) + b"\n", client.protocol)
        case b"LIST":
            lines = [describe(other) for other in client.server.connections]
            return replies.verbatim(b"\n".join([*lines, b""]), client.protocol)
        case b"REPLY":
            return replies.OK if rest[0].upper() == b"ON" else replies.error("ERR CLIENT REPLY is always ON")
        case b"NO-EVICT" | b"NO-TOUCH":
            return replies.OK
    return refusals.unknown_subcommand("client", request[1])


def _set_info(client: Connection, attribute: bytes, value: bytes) -> bytes:
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


def describe(client: Connection) -> bytes:
    """The line of CLIENT LIST."""
    now = client.server.now()
    fields = {
        "id": client.id,
        "addr": client.peer,
        "laddr": "{}:{}".format(*client.server.address),
        "name": client.name.decode(),
        "age": int(now - client.connected_at),
        "idle": int(now - client.last_input_at),
        "flags": "x" if client.queue is not None else "N",
        "db": client.family,
        "multi": -1 if client.queue is None else len(client.queue),
        "cmd": client.command.name if client.command else "NULL",
        "resp": client.protocol,
        "lib-name": client.library.decode(),
        "lib-ver": client.library_version.decode(),
    }
    return " ".join([f"{name}={value}" for name, value in fields.items()]).encode()
