"""REPLICAD.SLOT: the log that is kept for replicas and change feeds. A feed's slot is made and read here."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from replicad.errors import (
    DivergedError,
    InvalidArgument,
    LogGoneError,
    NotFoundError,
    SlotInUseError,
    SlotLostError,
    TooManySessionsError,
)
from replicad.replication.primary.feed_slots import FeedReader, FeedSlots
from replicad.server import refusals, replies
from replicad.server.client_state import ClientState
from replicad.server.commands.arguments import parse_count
from replicad.server.commands.container import Container, Subcommand
from replicad.server.commands.table import Group
from replicad.server.later import AsTask, Reply
from replicad.server.refusals import Refused
from replicad.server.requests import Request
from replicad.types import Position

slots = Group("replicad")

_SLOT = Container(
    "replicad.slot",
    Subcommand(
        "CREATE <name> [AFTER <position> | SINCE <sequence>]",
        "Makes the slot of a change feed; returns its position, by default that of the durable log's end.",
        1,
        3,
    ),
    Subcommand(
        "READ <name> <reader>", "Takes the slot of a feed; returns the position to go on after.", 2, 2
    ),
    Subcommand("ACK <name> <position>", "Moves the slot of a feed to a position.", 2, 2),
    Subcommand("DROP <node-id>", "Drops the slot of a replica, or of a feed.", 1, 1),
)
_READER_BYTES_MAX = 64
_CODES = {
    NotFoundError: "NOSLOT",
    SlotInUseError: "SLOTBUSY",
    SlotLostError: "SLOTLOST",
    DivergedError: "LOST",
    TooManySessionsError: "ERR",
}
"""The first word of each refusal; the rest is for people."""


@slots.command("replicad.slot", -2, "Makes, reads and ends slots.", container=_SLOT, blocking=True)
def slot(client: ClientState, request: Request) -> Reply:
    match request[1].upper(), request[2:]:
        case b"CREATE", [name]:
            return _create(client, name, None)
        case b"CREATE", [name, how, where] if how.upper() == b"AFTER":
            return _create(client, name, _position(where))
        case b"CREATE", [name, how, where] if how.upper() == b"SINCE":
            return _create(client, name, parse_count(where))
        case b"READ", [name, reader]:
            return _read(client, name, reader)
        case b"ACK", [name, position]:
            return _acknowledge(client, name, _position(position))
        case b"DROP", [node_id]:
            return replies.integer(client.server.node.drop_slot(_node_id(node_id)))
    return refusals.SYNTAX


def _create(client: ClientState, name: bytes, after: Position | int | None) -> Reply:
    found = _feed_slots(client)
    return _answer(lambda: found.create(_name(name), after))


def _read(client: ClientState, name: bytes, reader_id: bytes) -> Reply:
    if len(reader_id) > _READER_BYTES_MAX:
        raise Refused(replies.error(f"ERR the id of a reader has at most {_READER_BYTES_MAX} bytes"))
    found = _feed_slots(client)
    reader = FeedReader(
        _name(name),
        reader_id.decode("ascii", "backslashreplace"),
        client.peer,
        lambda: client.server.kill(client),
    )

    async def read() -> Position:
        client.end_reading()
        position = await found.read(reader)
        if client.gone:
            # It left while its slot was looked at.
            found.ended(reader)
        client.feed_reader = reader
        return position

    return _answer(read)


def _acknowledge(client: ClientState, name: bytes, position: Position) -> Reply:
    found, reader = _feed_slots(client), client.feed_reader

    async def acknowledge() -> Position:
        if reader is not None:
            found.asked(reader)
        await found.acknowledge(_name(name), position, reader)
        return position

    return _answer(acknowledge)


def _answer(work: Callable[[], Coroutine[Any, Any, Position]]) -> Reply:
    """The position that the work returns, or what it refuses."""

    async def answer() -> bytes:
        try:
            return replies.bulk(str(await work()).encode())
        except LogGoneError as error:
            return replies.error(f"LOGGONE {error.first_available}")
        except tuple(_CODES) as error:
            return replies.error(f"{_CODES[type(error)]} {error}")

    return AsTask(answer)


def _feed_slots(client: ClientState) -> FeedSlots:
    found = client.server.node.feed_slots
    if found is None:
        raise Refused(replies.error("LOADING this node has no data at the moment"))
    return found


def _name(data: bytes) -> str:
    return data.decode("ascii", "backslashreplace")


def _position(data: bytes) -> Position:
    try:
        return Position.parse(data.decode("ascii", "replace"))
    except InvalidArgument as error:
        raise Refused(replies.error(f"ERR {error}")) from None


def _node_id(data: bytes) -> bytes:
    try:
        return bytes.fromhex(data.decode("ascii"))
    except ValueError:
        raise Refused(replies.error("ERR a node id is 32 hexadecimal digits")) from None
