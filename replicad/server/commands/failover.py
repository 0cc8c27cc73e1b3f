"""REPLICAD.FAILOVER: what an operator orders about the automatic failover."""

from __future__ import annotations

import json

from replicad.errors import RoleRefused
from replicad.server import refusals, replies
from replicad.server.client_state import ClientState
from replicad.server.commands.container import Container, Subcommand
from replicad.server.commands.table import Group
from replicad.server.later import AsTask, Reply
from replicad.server.requests import Request

failovers = Group("replicad")

_FAILOVER = Container(
    "replicad.failover",
    Subcommand("STATUS", "Who leads, who would be next, and who may not lead and why; in JSON."),
    Subcommand("PAUSE", "Has nobody promoted automatically; 0 if that was so already."),
    Subcommand("RESUME", "Ends that; 1 if it was paused."),
    Subcommand("REMOVE <node-id>", "Has the leader count a node no more that will not come back.", 1, 1),
)


@failovers.command(
    "replicad.failover", -2, "Shows and orders the automatic failover.", container=_FAILOVER, blocking=True
)
def failover(client: ClientState, request: Request) -> Reply:
    orders = client.server.node.failover
    if orders is None:
        return replies.error("ERR [failover] is not configured on this node")

    async def run() -> bytes:
        try:
            match request[1].upper(), request[2:]:
                case b"STATUS", []:
                    return replies.bulk(json.dumps(orders.document()).encode())
                case b"PAUSE", []:
                    return replies.integer(int(await orders.pause(paused=True)))
                case b"RESUME", []:
                    return replies.integer(int(await orders.pause(paused=False)))
                case b"REMOVE", [node]:
                    await orders.remove(node.decode("ascii", "replace").lower())
                    return replies.OK
        except RoleRefused as error:
            return replies.error(f"ERR {error}")
        return refusals.SYNTAX

    return AsTask(run)
