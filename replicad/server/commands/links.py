"""REPLICAD.LINK: links from other primaries to this one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from replicad.errors import ConfigError, InvalidArgument, NotFoundError
from replicad.replication.links.losers import Loser
from replicad.replication.links.options import LinkOptions, prefix_text
from replicad.replication.wire.messages import LINKED_FAMILIES_MAX, LINKED_PREFIXES_MAX
from replicad.server import link_orders, refusals, replies
from replicad.server.client_state import ClientState
from replicad.server.commands.container import Container, Subcommand
from replicad.server.commands.table import Group
from replicad.server.link_upkeep import losers
from replicad.server.linked_data import LinkedData
from replicad.server.refusals import Refused
from replicad.server.requests import Request

links = Group("replicad")

CONFLICTS = 100
"""Shown, where nobody asks for more or fewer."""
CONFLICTS_MAX = 10_000
SHOWN_BYTES_MAX = 1024
"""Of a value."""

_LINK = Container(
    "replicad.link",
    Subcommand(
        "ADD <name> <source> [FAMILY <family>] ... [PREFIX <prefix>] ... [KEEPLOSERS <seconds>]",
        "Links families of this primary with those of another; source is its replication address, or those "
        "of its nodes with commas between.",
        2,
        2 + 2 * (LINKED_FAMILIES_MAX + LINKED_PREFIXES_MAX + 1),
    ),
    Subcommand("LIST", "Returns the links of this node, in JSON."),
    Subcommand("SHOW <name>", "Returns one of them, in JSON.", 1, 1),
    Subcommand("PAUSE <name>", "Merges nothing more of a link, until RESUME.", 1, 1),
    Subcommand("RESUME <name>", "Goes on with a link where it was.", 1, 1),
    Subcommand("SEED <name>", "Has all data of a link's source come again, and then its log.", 1, 1),
    Subcommand("REMOVE <name>", "Ends a link; what came over it stays.", 1, 1),
    Subcommand(
        "CONFLICTS [<name>] [COUNT <count>]",
        "Returns the writes that came over links and lost, the newest first, where links keep them.",
        0,
        3,
    ),
    Subcommand("FAMILIES", "Returns the names of the families that are linked."),
    Subcommand("MEMBERS", "Returns the databases that are linked, and how far they are here."),
    Subcommand("FORGET <database>", "Waits no longer for the primary of a database that is gone.", 1, 1),
)


@links.command("replicad.link", -2, "Links independent primaries.", container=_LINK, blocking=True)
def link(client: ClientState, request: Request) -> bytes:
    action, rest = request[1].upper(), request[2:]
    if action in _SHOWN:
        return replies.bulk(json.dumps(_SHOWN[action](client, rest)).encode())

    node, linked = client.server.node, client.server.linked
    if not node.is_writable:
        return refusals.read_only(node.primary_address)
    if node.holds_writes():
        return refusals.CHANGING
    client.server.committer.submit()
    try:
        if action == b"FORGET":
            client.hold_written(_forget(client, _database(_text(rest[0]))))
            return replies.OK
        client.hold_written(_order(linked, action, _text(rest[0]), rest[1:]))
    except (ConfigError, InvalidArgument, NotFoundError) as error:
        return replies.error(f"ERR {error}")
    return replies.OK


def _order(linked: LinkedData, action: bytes, name: str, rest: Request) -> int:
    match action:
        case b"ADD":
            return link_orders.add(linked, name, _asked(rest))
        case b"PAUSE":
            return link_orders.change(linked, name, {"paused": True})
        case b"RESUME":
            return link_orders.change(linked, name, {"paused": False})
        case b"SEED":
            return link_orders.seed_again(linked, name)
    return link_orders.remove(linked, name)


def _forget(client: ClientState, database: bytes) -> int:
    for row in client.server.node.links():
        if row["direction"] == "out" and row["database"] == database.hex():
            raise InvalidArgument(
                f"it is alive: it has a link from here, {row['name']}; remove that there first"
            )
    return link_orders.forget_member(client.server.linked, database)


def _asked(words: Request) -> LinkOptions:
    """What comes behind the name. Raises Refused for words that do not belong there."""
    source, *pairs = words
    if len(pairs) % 2:
        raise Refused(refusals.SYNTAX)
    families: list[str] = []
    prefixes: list[str] = []
    keep_seconds = 0.0
    for word, value in zip(pairs[::2], pairs[1::2], strict=True):
        match word.upper():
            case b"FAMILY":
                families.append(_text(value))
            case b"PREFIX":
                prefixes.append(prefix_text(value))
            case b"KEEPLOSERS":
                keep_seconds = _seconds(value)
            case _:
                raise Refused(refusals.SYNTAX)
    return LinkOptions(
        source=_text(source),
        families=tuple(families) or ("default",),
        prefixes=tuple(prefixes),
        keep_losers_seconds=keep_seconds,
    )


# What is shown.


def _list(client: ClientState, rest: Request) -> list[dict[str, Any]]:
    return client.server.node.links()


def _show(client: ClientState, rest: Request) -> dict[str, Any]:
    name = _text(rest[0])
    for row in client.server.node.links():
        if row["name"] == name and row["direction"] == "in":
            return row
    raise Refused(replies.error(f"ERR there is no link {name[:64]!r}: REPLICAD.LINK LIST shows them"))


def _conflicts(client: ClientState, rest: Request) -> list[dict[str, Any]]:
    name, count = None, CONFLICTS
    if len(rest) % 2:
        name, rest = _text(rest[0]), rest[1:]
    if rest:
        if rest[0].upper() != b"COUNT" or not rest[1].isdigit() or not 0 < int(rest[1]) <= CONFLICTS_MAX:
            raise Refused(refusals.SYNTAX)
        count = int(rest[1])
    linked = client.server.linked
    found = [_conflict(each) for each in losers(linked, name, count)]
    if not found and name is not None and name not in linked.links():
        raise Refused(replies.error(f"ERR there is no link {name[:64]!r}: REPLICAD.LINK LIST shows them"))
    return found


def _conflict(loser: Loser) -> dict[str, Any]:
    return {
        "link": loser.link,
        "arrived_us": loser.arrived_us,
        "family": loser.family,
        "key": prefix_text(loser.key),
        "value": None if loser.value is None else prefix_text(loser.value[:SHOWN_BYTES_MAX]),
        "value_bytes": None if loser.value is None else len(loser.value),
        "written_us": loser.stamp.time_us,
        "origin": loser.stamp.origin.hex(),
        "winner_written_us": None if loser.winner is None else loser.winner.time_us,
        "winner_origin": None if loser.winner is None else loser.winner.origin.hex(),
    }


def _members(client: ClientState, rest: Request) -> list[dict[str, Any]]:
    linked = client.server.linked
    return [
        {
            "database": origin.hex(),
            "is_this": origin == linked.own,
            "epoch": record.epoch,
            "sequence": record.sequence,
            "frontier_us": record.frontier_us,
            "seen_us": record.seen_us,
        }
        for origin, record in linked.origins().items()
        if not record.is_gone
    ]


_SHOWN: dict[bytes, Callable[[ClientState, Request], Any]] = {
    b"LIST": _list,
    b"SHOW": _show,
    b"CONFLICTS": _conflicts,
    b"FAMILIES": lambda client, rest: sorted(client.server.linked.linked_families),
    b"MEMBERS": _members,
}


def _text(word: bytes) -> str:
    return word.decode("utf-8", "replace")


def _seconds(word: bytes) -> float:
    try:
        return float(word)
    except ValueError:
        raise InvalidArgument(f"KEEPLOSERS takes seconds, not {_text(word)[:64]!r}") from None


def _database(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != 16:
        raise InvalidArgument(f"a database id has 32 hexadecimal digits, not {text[:64]!r}")
    return found
