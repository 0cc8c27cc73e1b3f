"""Waiting for replicas, and for positions: WAIT, WAITAOF, and ours, which say what is true when they end."""

from __future__ import annotations

from dataclasses import replace

from replicad.errors import InvalidArgument
from replicad.server import refusals, replies
from replicad.server.client_state import ClientState
from replicad.server.commands.arguments import parse_count, parse_integer
from replicad.server.commands.table import Group
from replicad.server.later import AsTask, Reply
from replicad.server.refusals import Refused
from replicad.server.requests import Request
from replicad.server.tokens import TokenState, judge
from replicad.types import Position, Sequence

waiting = Group("server")

LEVELS = ("received", "applied", "durable")


def _check_wait(request: Request) -> bytes | None:
    parse_count(request[1])
    _timeout(request[2])
    return None


@waiting.command(
    "wait",
    3,
    "Waits until replicas show this connection's writes.",
    usage="numreplicas milliseconds",
    walks=True,
    check=_check_wait,
)
def wait(client: ClientState, request: Request) -> Reply:
    """Redis's: how many replicas have applied them, also when those are fewer than asked for."""
    count, timeout_seconds = parse_count(request[1]), _timeout(request[2])
    node = client.server.node
    if node.role != "primary":
        return replies.error("ERR WAIT cannot be used with replica instances.")
    if client.transaction is not None:  # As in Redis: it does not wait there, and tells how many there are.
        return replies.integer(len(node.waits.holders("applied", client.replies.last_write)))

    async def applied_by_replicas() -> bytes:
        return replies.integer(
            len(await node.waits.wait("applied", count, client.replies.last_write, timeout_seconds))
        )

    return AsTask(applied_by_replicas)


@waiting.command(
    "waitaof",
    4,
    "Waits until this connection's writes are on disk.",
    usage="numlocal numreplicas milliseconds",
    blocking=True,
)
def waitaof(client: ClientState, request: Request) -> Reply:
    """Redis's: here (0 or 1) and on how many replicas they are durable."""
    here, count, timeout_seconds = parse_count(request[1]), parse_count(request[2]), _timeout(request[3])
    server = client.server
    if here > 1:
        return replies.error("ERR value is out of range, value must between 0 and 1")
    if server.node.role != "primary":
        return replies.error("ERR WAITAOF cannot be used with replica instances.")

    async def durable() -> bytes:
        began = server.now()
        if here:
            await _durable_here(client, timeout_seconds)
        left = None if timeout_seconds is None else max(0.0, timeout_seconds - (server.now() - began))
        holders = await server.node.waits.wait("durable", count, client.replies.last_write, left)
        return replies.array([replies.integer(_is_durable_here(client)), replies.integer(len(holders))])

    return AsTask(durable)


@waiting.command(
    "replicad.wait",
    4,
    "Waits until replicas hold this connection's writes.",
    usage="<RECEIVED|APPLIED|DURABLE> numreplicas milliseconds",
    blocking=True,
)
def wait_at(client: ClientState, request: Request) -> Reply:
    """The position, whether it is durable here, and the replicas that hold it; an error that says the same
    when they are fewer than asked for."""
    level = request[1].decode("ascii", "replace").lower()
    if level not in LEVELS:
        return replies.error("ERR LEVEL is received, applied or durable")
    count, timeout_seconds = parse_count(request[2]), _timeout(request[3])
    server = client.server
    node, store = server.node, server.store

    async def held() -> bytes:
        if level == "durable":
            await _durable_here(client, timeout_seconds)
        holders = await node.waits.wait(level, count, client.replies.last_write, timeout_seconds)
        here = _is_durable_here(client)
        position = await server.workers.look_up(lambda: store.position_at(client.replies.last_write))
        where = f"sequence {client.replies.last_write}" if position is None else str(position)
        if len(holders) < count or (level == "durable" and not here):
            return replies.error(
                f"NOREPLICAS {where} is {level} on {len(holders)} of {count} replicas "
                f"({', '.join(holders) or 'none'}), {'durable' if here else 'not durable yet'} here"
            )
        return replies.encode([where, int(here), list(holders)], client.protocol)

    return AsTask(held)


@waiting.command(
    "replicad.synchronous",
    -1,
    "Says or sets whether this connection's writes wait for replicas: [ON|OFF].",
    usage="[ON|OFF]",
)
def synchronous(client: ClientState, request: Request) -> bytes:
    """For one connection only; which replicas they wait for is in the node's configuration."""
    if len(request) == 1:
        rule = client.server.node.waits.describe()
        return replies.encode(["on" if client.replies.waits_for_replicas else "off", rule], client.protocol)
    setting = request[1].upper()
    if len(request) > 2 or setting not in (b"ON", b"OFF"):
        return refusals.SYNTAX
    client.replies.wait_for_replicas(setting == b"ON")
    return replies.OK


@waiting.command(
    "replicad.waitpos",
    3,
    "Waits until reads see a position: TOKEN TIMEOUT.",
    usage="token milliseconds",
    blocking=True,
)
def waitpos(client: ClientState, request: Request) -> Reply:
    """OK when reads see it. An error when it did not come in time, or when its write is lost."""
    try:
        token = Position.parse(request[1].decode("ascii", "replace"))
    except InvalidArgument as error:
        raise Refused(replies.error(f"ERR {error}")) from None
    timeout_seconds = _timeout(request[2])
    server = client.server
    store = server.store

    def newest_visible() -> Position:
        # A replica shows what is not durable there yet: what is visible is told by the sequence number alone.
        return replace(store.position, sequence=Sequence(store.latest_sequence))

    def is_settled() -> bool:
        if store.latest_sequence >= token.sequence:
            return True
        return judge(token, newest_visible(), store.epochs, None) is TokenState.LOST

    async def reached() -> bytes:
        await server.conditions.wait_until(is_settled, timeout_seconds)
        found = None
        if store.latest_sequence >= token.sequence:
            found = await server.workers.look_up(lambda: store.position_at(token.sequence))
        newest = newest_visible()
        match judge(token, newest, store.epochs, found):
            case TokenState.THERE:
                return replies.OK
            case TokenState.NOT_YET:
                return replies.error(f"NOTYET this node shows epoch {newest.epoch} up to {newest.sequence}")
            case TokenState.LOST:
                return replies.error(f"LOST the write at {token} is not in this node's history")

    return AsTask(reached)


def _timeout(argument: bytes) -> float | None:
    """Milliseconds; 0 is for ever, as in Redis."""
    try:
        milliseconds = parse_integer(argument)
    except Refused:
        raise Refused(refusals.BAD_TIMEOUT) from None
    if milliseconds < 0:
        raise Refused(refusals.NEGATIVE_TIMEOUT)
    return milliseconds / 1000 if milliseconds else None


def _is_durable_here(client: ClientState) -> bool:
    return client.server.store.durable_sequence >= client.replies.last_write


async def _durable_here(client: ClientState, timeout_seconds: float | None) -> None:
    await client.server.conditions.wait_until(lambda: _is_durable_here(client), timeout_seconds)
