"""COMMAND: what clients ask to learn which commands there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicad.server import refusals, replies
from replicad.server.commands.table import Command, Group
from replicad.server.requests import Request

if TYPE_CHECKING:
    from replicad.server.connection import Connection

introspection = Group("server")


@introspection.command("command", -1, "Describes the commands.")
def command(client: Connection, request: Request) -> bytes:
    known = client.server.commands
    if len(request) == 1:
        return replies.encode([_entry(each) for each in known.values()], client.protocol)
    names = [name.decode("ascii", "replace").lower() for name in request[2:]]
    match request[1].upper():
        case b"COUNT":
            return replies.integer(len(known))
        case b"LIST":
            return replies.encode(list(known), client.protocol)
        case b"INFO":
            found = [_entry(known[name]) if name in known else None for name in names or known]
            return replies.encode(found, client.protocol)
        case b"DOCS":
            chosen = [known[name] for name in names or known if name in known]
            return replies.encode({each.name: _documentation(each) for each in chosen}, client.protocol)
    return refusals.unknown_subcommand("command", request[1])


def _entry(each: Command) -> replies.Value:
    flags: list[replies.Value] = list(each.flags)
    return [each.name, each.arity, flags, *each.keys, [], [], [], []]


def _documentation(each: Command) -> replies.Value:
    return {"summary": each.summary, "since": "0.1.0", "group": each.group}
