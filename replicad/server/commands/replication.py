"""How this node replicates: its status, the slots of replicas, what copies to them may take."""

from __future__ import annotations

import json

from replicad.server import refusals, replies
from replicad.server.client_state import ClientState
from replicad.server.commands.arguments import parse_count
from replicad.server.commands.container import Container, Subcommand
from replicad.server.commands.table import Group
from replicad.server.refusals import Refused
from replicad.server.requests import Request

replication = Group("replicad")

_SLOT = Container("replicad.slot", Subcommand("DROP <node-id>", "Drops the slot of a replica.", 1, 1))


@replication.command("replicad.status", 1, "The node's status document, in JSON.")
def status(client: ClientState, request: Request) -> bytes:
    return replies.bulk(json.dumps(client.server.node.status(), default=str).encode())


@replication.command("replicad.slot", -2, "Ends slots of replicas.", container=_SLOT)
def slot(client: ClientState, request: Request) -> bytes:
    try:
        node_id = bytes.fromhex(request[2].decode("ascii"))
    except ValueError:
        raise Refused(replies.error("ERR a node id is 32 hexadecimal digits")) from None
    return replies.integer(client.server.node.drop_slot(node_id))


@replication.command(
    "replicad.throttle",
    -1,
    "Bytes a second that copies sent to replicas may take; 0 means no limit.",
    usage="[number]",
)
def throttle(client: ClientState, request: Request) -> bytes:
    node = client.server.node
    if len(request) == 1:
        return replies.integer(node.copy_bytes_per_second)
    if len(request) > 2:
        return refusals.SYNTAX
    node.throttle_copies(parse_count(request[1]))
    return replies.OK
