"""Commands on the node: INFO, ROLE, SHUTDOWN."""

from __future__ import annotations

from replicad.server import refusals, replies
from replicad.server.client_state import ClientState
from replicad.server.commands.table import Group
from replicad.server.info import render_info
from replicad.server.later import Reply
from replicad.server.requests import Request

node = Group("server")

_PATTERNS_MAX = 64


@node.command("info", -1, "Describes the node, in sections.", usage="[section ...]")
def info(client: ClientState, request: Request) -> bytes:
    if len(request) > _PATTERNS_MAX:
        return refusals.SYNTAX
    sections = [name.decode("ascii", "replace").lower() for name in request[1:]]
    return replies.verbatim(render_info(client.server, sections).encode(), client.protocol)


@node.command("role", 1, "Returns the role and the state of replication.")
def role(client: ClientState, request: Request) -> bytes:
    server = client.server
    if server.node.role == "primary":
        replicas: list[replies.Value] = [
            [replica.host, str(replica.port), str(replica.acknowledged_sequence)]
            for replica in server.node.replicas()
        ]
        return replies.encode(["master", server.store.latest_sequence, replicas], client.protocol)
    host, port = server.node.primary_address or ("", 0)
    return replies.encode(
        ["slave", host, port, server.node.link_state, server.store.latest_sequence], client.protocol
    )


@node.command("shutdown", -1, "Stops the node cleanly.", usage="[NOSAVE|SAVE] [NOW] [FORCE]", blocking=True)
def shutdown(client: ClientState, request: Request) -> Reply:
    options = [option.upper() for option in request[1:5]]
    known = {b"NOSAVE", b"SAVE", b"NOW", b"FORCE"}.issuperset(options) and len(request) <= 4
    if not known or {b"NOSAVE", b"SAVE"}.issubset(options):
        return refusals.SYNTAX
    client.quit()
    client.server.request_shutdown()
    return None
