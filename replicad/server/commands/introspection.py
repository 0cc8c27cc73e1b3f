"""COMMAND: what clients ask to learn which commands there are."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from replicad.server import refusals, replies
from replicad.server.client_state import ClientState
from replicad.server.commands.container import Container, Subcommand
from replicad.server.commands.table import COMMANDS, Command, Group
from replicad.server.commands.usage import parse_usage
from replicad.server.glob import compile_glob
from replicad.server.refusals import Refused
from replicad.server.requests import Request

introspection = Group("server")

NAMES_MAX = 1024
"""What COMMAND INFO and DOCS describe at once: far more than there are."""


_COMMAND = Container(
    "command",
    Subcommand("COUNT", "Returns how many commands there are."),
    Subcommand(
        "LIST [FILTERBY <MODULE <name>|ACLCAT <category>|PATTERN <glob>>]", "Returns their names.", 0, 3
    ),
    Subcommand("INFO [<command> ...]", "Describes these commands, or all.", 0, NAMES_MAX),
    Subcommand("DOCS [<command> ...]", "Documents these commands, or all.", 0, NAMES_MAX),
)


@introspection.command("command", -1, "Describes the commands.", container=_COMMAND)
def command(client: ClientState, request: Request) -> bytes:
    known, protocol = COMMANDS, client.protocol
    if len(request) == 1:
        return replies.array([_entry(each, protocol) for each in known.values()])
    names = [name.decode("ascii", "replace").lower() for name in request[2:]]
    match request[1].upper():
        case b"COUNT":
            return replies.integer(len(known))
        case b"LIST":
            return replies.encode(_listed(known, request[2:]), protocol)
        case b"INFO":
            nil = replies.nil(protocol)
            return replies.array(
                [_entry(known[name], protocol) if name in known else nil for name in names or known]
            )
    chosen = {replies.bulk(name.encode()): known[name] for name in names or known if name in known}
    documented = {name: _documentation(each, protocol) for name, each in chosen.items()}
    return replies.mapping(documented, protocol)


def _listed(known: Mapping[str, Command], options: Request) -> list[replies.Value]:
    """The names that FILTERBY leaves; there are no modules."""
    if not options:
        return list(known)
    if options[0].upper() != b"FILTERBY" or len(options) != 3:
        raise Refused(refusals.SYNTAX)
    match options[1].upper():
        case b"PATTERN":
            matches = compile_glob(options[2].lower())
            return [name for name in known if matches is None or matches(name.encode())]
        case b"ACLCAT":
            category = options[2].decode("ascii", "replace").lower().removeprefix("@")
            return [each.name for each in known.values() if category in (*each.flags, each.group)]
        case b"MODULE":
            return []
    raise Refused(refusals.SYNTAX)


@cache
def _entry(each: Command, protocol: int) -> bytes:
    """Encoded once: clients ask for all of them when they connect."""
    flags: list[replies.Value] = [replies.Word(flag) for flag in each.flags]
    return replies.encode([each.name, each.arity, flags, *each.keys, [], [], [], []], protocol)


@cache
def _documentation(each: Command, protocol: int) -> bytes:
    shown = _documented(each.summary, each.group, each.usage)
    if each.container is not None:
        shown["subcommands"] = {
            f"{each.name}|{sub.name.decode().lower()}": _documented(sub.summary, each.group, sub.arguments)
            for sub in each.container.subcommands
        }
    return replies.encode(shown, protocol)


def _documented(summary: str, group: str, usage: str) -> dict[str, replies.Value]:
    shown: dict[str, replies.Value] = {"summary": summary, "since": "0.1.0", "group": group}
    if arguments := parse_usage(usage):
        shown["arguments"] = [argument.documented() for argument in arguments]
    return shown
