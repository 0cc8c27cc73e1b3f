"""REPLICAD.LINK: links from other primaries to this one."""

from __future__ import annotations

import json
import re

from replicad.errors import ConfigError, InvalidArgument, NotFoundError
from replicad.net.addresses import parse_address
from replicad.server import refusals, replies
from replicad.server.client_state import ClientState
from replicad.server.commands.container import Container, Subcommand
from replicad.server.commands.table import Group
from replicad.server.refusals import Refused
from replicad.server.requests import Request

links = Group("replicad")

FAMILIES_MAX = 16
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")

_LINK = Container(
    "replicad.link",
    Subcommand(
        "ADD <name> <source> [FAMILY <family>] ...",
        "Links families of this primary with those of another; source is its replication address.",
        2,
        2 + 2 * FAMILIES_MAX,
    ),
    Subcommand("LIST", "Returns the links of this node, in JSON."),
    Subcommand("PAUSE <name>", "Merges nothing more of a link, until RESUME.", 1, 1),
    Subcommand("RESUME <name>", "Goes on with a link where it was.", 1, 1),
    Subcommand("SEED <name>", "Has all data of a link's source come again, and then its log.", 1, 1),
    Subcommand("REMOVE <name>", "Ends a link; what came over it stays.", 1, 1),
)


@links.command("replicad.link", -2, "Links independent primaries.", container=_LINK, blocking=True)
def link(client: ClientState, request: Request) -> bytes:
    node, linked = client.server.node, client.server.linked
    action, rest = request[1].upper(), request[2:]
    if action == b"LIST":
        return replies.bulk(json.dumps(node.links()).encode())
    if not node.is_writable:
        return refusals.read_only(node.primary_address)
    if node.holds_writes():
        return refusals.CHANGING
    client.server.committer.submit()

    name = rest[0].decode("utf-8", "replace")
    if action == b"ADD":
        client.hold_written(_add(client, name, rest[1:]))
        return replies.OK
    record = linked.links().get(name)
    if record is None:
        return replies.error(f"ERR there is no link {name[:64]!r}")
    match action:
        case b"PAUSE":
            record["paused"] = True
        case b"RESUME":
            record.pop("paused", None)
        case b"SEED":
            record |= {"source_database": None, "seed": None, "seeds": record.get("seeds", 0) + 1}
    client.hold_written(linked.set_link(name, None if action == b"REMOVE" else record))
    return replies.OK


def _add(client: ClientState, name: str, rest: Request) -> int:
    linked = client.server.linked
    if _NAME.fullmatch(name) is None:
        raise Refused(replies.error("ERR the name of a link has at most 64 of A-Z a-z 0-9 _ . -"))
    if name in linked.links():
        raise Refused(replies.error(f"ERR there is a link {name} already: REPLICAD.LINK REMOVE it first"))
    try:
        source = parse_address(rest[0].decode("utf-8", "replace"))
    except ConfigError as error:
        raise Refused(replies.error(f"ERR {error}")) from None
    if any(record["source"] == str(source) for record in linked.links().values()):
        raise Refused(replies.error(f"ERR there is a link from {source} already: one carries all families"))
    words = rest[1:]
    if len(words) % 2 or any(word.upper() != b"FAMILY" for word in words[::2]):
        raise Refused(refusals.SYNTAX)
    families = [word.decode("utf-8", "replace") for word in words[1::2]] or ["default"]
    try:
        linked.link_families(families)
    except NotFoundError as error:
        raise Refused(replies.error(f"ERR {error}: REPLICAD.FAMILY CREATE it first")) from None
    except InvalidArgument as error:
        raise Refused(replies.error(f"ERR {error}")) from None
    return linked.set_link(name, {"source": str(source), "families": families, "seeds": 0})
