"""REPLICAD.REPLICA: a replica stands still, and goes on."""

from __future__ import annotations

import json

from replicad.errors import InvalidArgument, StoreError
from replicad.server import refusals, replies
from replicad.server.client_state import ClientState
from replicad.server.commands.arguments import parse_count
from replicad.server.commands.container import Container, Subcommand
from replicad.server.commands.table import Group
from replicad.server.later import AsTask, Reply
from replicad.server.refusals import Refused
from replicad.server.requests import Request
from replicad.units import parse_time

replica = Group("replicad")

_REPLICA = Container(
    "replicad.replica",
    Subcommand(
        "PAUSE [AT <sequence | time>]",
        "Stands still, at once or after the last batch through a sequence number or commit time; in JSON.",
        0,
        2,
    ),
    Subcommand("RESUME", "Applies again what is due; 1 if it was paused."),
)


@replica.command(
    "replicad.replica", -2, "Has a replica stand still, and go on.", container=_REPLICA, blocking=True
)
def replica_command(client: ClientState, request: Request) -> Reply:
    node = client.server.node
    if request[1].upper() == b"RESUME":

        async def resume() -> bytes:
            try:
                return replies.integer(int(await node.resume_replica()))
            except (InvalidArgument, StoreError) as error:
                return replies.error(f"ERR {error}")

        return AsTask(resume)

    sequence, time_us = _point(request[2:])

    async def pause() -> bytes:
        try:
            at = await node.pause_replica(sequence=sequence, time_us=time_us)
        except (InvalidArgument, StoreError) as error:
            return replies.error(f"ERR {error}")
        return replies.bulk(json.dumps(at).encode())

    return AsTask(pause)


def _point(words: Request) -> tuple[int | None, int | None]:
    """(sequence number, commit time): digits alone are a number."""
    if not words:
        return None, None
    if len(words) != 2 or words[0].upper() != b"AT":
        raise Refused(refusals.SYNTAX)
    if words[1].isdigit():
        return parse_count(words[1]), None
    try:
        return None, parse_time(words[1].decode("utf-8", "replace"))
    except InvalidArgument as error:
        raise Refused(replies.error(f"ERR {error}")) from None
