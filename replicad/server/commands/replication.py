"""How this node replicates: its status, and what copies to replicas may take."""

from __future__ import annotations

import json

from replicad.server import refusals, replies
from replicad.server.client_state import ClientState
from replicad.server.commands.arguments import parse_count
from replicad.server.commands.table import Group
from replicad.server.requests import Request

replication = Group("replicad")


@replication.command("replicad.status", 1, "The node's status document, in JSON.")
def status(client: ClientState, request: Request) -> bytes:
    return replies.bulk(json.dumps(client.server.node.status(), default=str).encode())


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
