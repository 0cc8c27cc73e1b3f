"""Commands that change who takes the writes: PROMOTE, SWITCHOVER, and Redis's REPLICAOF and FAILOVER."""

from __future__ import annotations

from replicad.errors import RoleRefused
from replicad.server import refusals, replies
from replicad.server.client_state import ClientState
from replicad.server.commands.arguments import parse_count
from replicad.server.commands.table import Group
from replicad.server.later import AsTask, Reply
from replicad.server.refusals import Refused
from replicad.server.requests import Request

roles = Group("server")

_OPTIONS_MAX = 16
"""Words of FAILOVER and SWITCHOVER: each option once is less."""


@roles.command(
    "replicad.promote", -1, "Makes this replica the primary: [FORCE].", usage="[FORCE]", blocking=True
)
def promote(client: ClientState, request: Request) -> Reply:
    force = len(request) == 2 and request[1].upper() == b"FORCE"
    if len(request) > 1 and not force:
        return refusals.SYNTAX
    return _promote(client, force=force)


@roles.command(
    "replicad.switchover",
    -1,
    "Hands the writes to a replica: [TO node] [TIMEOUT ms].",
    usage="[TO node] [TIMEOUT milliseconds]",
    blocking=True,
)
def switchover(client: ClientState, request: Request) -> Reply:
    target, timeout_ms = None, None
    if len(request) > _OPTIONS_MAX:
        return refusals.SYNTAX
    rest = request[1:]
    while rest:
        if len(rest) < 2:
            return refusals.SYNTAX
        match rest[0].upper():
            case b"TO":
                target = rest[1].decode("utf-8", "replace")
            case b"TIMEOUT":
                timeout_ms = parse_count(rest[1])
            case _:
                return refusals.SYNTAX
        rest = rest[2:]
    return _switch_over(client, target, timeout_ms, b"")


@roles.command(
    "replicaof",
    3,
    "Follows another node, or nobody: host port | NO ONE.",
    usage="<host port | NO ONE>",
    blocking=True,
)
def replicaof(client: ClientState, request: Request) -> Reply:
    if request[1].upper() == b"NO" and request[2].upper() == b"ONE":
        if client.server.node.role == "primary":
            return replies.OK
        return _promote(client, force=False)
    host, port = request[1].decode("ascii", "replace"), parse_count(request[2])

    async def follow() -> bytes:
        try:
            await client.server.node.follow(host, port)
        except RoleRefused as error:
            return replies.error(f"ERR {error}")
        return replies.OK

    return AsTask(follow)


@roles.command(
    "replicad.rejoin",
    -1,
    "Saves what this replica has and its primary lacks, and fetches all data: [host port].",
    usage="[host port]",
    blocking=True,
)
def rejoin(client: ClientState, request: Request) -> Reply:
    if len(request) not in (1, 3):
        return refusals.SYNTAX
    host, port = None, 0
    if len(request) == 3:
        host, port = request[1].decode("ascii", "replace"), parse_count(request[2])

    async def run() -> bytes:
        try:
            saved = await client.server.node.rejoin(host, port)
        except RoleRefused as error:
            return replies.error(f"ERR {error}")
        return replies.bulk(saved.encode())

    return AsTask(run)


@roles.command("slaveof", 3, "REPLICAOF under its older name.", usage="<host port | NO ONE>", blocking=True)
def slaveof(client: ClientState, request: Request) -> Reply:
    return replicaof(client, request)


@roles.command(
    "failover",
    -1,
    "Hands the writes to a replica: [TO host port] [ABORT] [TIMEOUT ms].",
    usage="[TO host port] [ABORT] [TIMEOUT milliseconds]",
    blocking=True,
)
def failover(client: ClientState, request: Request) -> Reply:
    options = [option.upper() for option in request[1:_OPTIONS_MAX]]
    if len(request) > _OPTIONS_MAX:
        return refusals.SYNTAX
    if options == [b"ABORT"]:
        if client.server.node.cancel_switchover():
            return replies.OK
        return replies.error("ERR No failover in progress.")
    target, timeout_ms = None, None
    while options:
        if options[0] == b"TO" and len(options) >= 3:
            target = f"{options[1].decode('ascii', 'replace').lower()}:{parse_count(options[2])}"
            options = options[3:]
        elif options[0] == b"TIMEOUT" and len(options) >= 2:
            timeout_ms = parse_count(options[1])
            options = options[2:]
        elif options[0] == b"FORCE":
            return replies.error("ERR FORCE is not supported: a replica that cannot follow is promoted there")
        else:
            return refusals.SYNTAX
    return _switch_over(client, target, timeout_ms, replies.OK)


def _promote(client: ClientState, *, force: bool) -> Reply:
    async def run() -> bytes:
        try:
            lost = await client.server.node.promote(force=force)
        except RoleRefused as error:
            return replies.error(f"ERR {error}")
        return replies.bulk(lost.encode()) if lost else replies.OK

    return AsTask(run)


def _switch_over(client: ClientState, target: str | None, timeout_ms: int | None, reply: bytes) -> Reply:
    node = client.server.node
    if node.role != "primary":
        raise Refused(refusals.read_only(node.primary_address))

    async def run() -> bytes:
        try:
            seconds = None if timeout_ms is None else timeout_ms / 1000
            new = await node.switch_over(target, timeout_seconds=seconds)
        except RoleRefused as error:
            return replies.error(f"ERR {error}")
        return reply or replies.bulk(new.encode())

    return AsTask(run)
