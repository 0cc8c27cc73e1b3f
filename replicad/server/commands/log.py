"""Commands on the log: annotations, positions, batches, times."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from replicad.errors import BatchTooLargeError, LogGoneError
from replicad.options import ANNOTATION_BYTES_MAX
from replicad.replication.links.annotation import PREFIX
from replicad.server import refusals, replies
from replicad.server.client_state import ClientState
from replicad.server.commands.arguments import parse_count
from replicad.server.commands.table import Group
from replicad.server.later import AsTask, InThread, LookUp, Reply
from replicad.server.refusals import Refused
from replicad.server.requests import Request
from replicad.server.server_state import ServerState
from replicad.server.updates import read_frames, read_updates

log = Group("replicad")
Found = TypeVar("Found", list[bytes], bytes)

_EACH_BYTES = 64  # what Python adds
_ANNOTATIONS_BYTES_MAX = 16 * (ANNOTATION_BYTES_MAX + _EACH_BYTES)


@log.command("replicad.logdata", 2, "Annotates the next batch in the log.", usage="data", writes=True)
def logdata(client: ClientState, request: Request) -> bytes:
    data = request[1]
    if len(data) > ANNOTATION_BYTES_MAX:
        return replies.error(f"ERR an annotation has at most {ANNOTATION_BYTES_MAX} bytes")
    if data.startswith(PREFIX):
        return replies.error(f"ERR annotations that begin with {PREFIX.decode()} are the node's own")
    if client.transaction is not None:
        client.transaction.open_batch().put_log_data(data)
    else:
        size = client.annotation_bytes + len(data) + _EACH_BYTES
        if size > _ANNOTATIONS_BYTES_MAX:
            return replies.error("ERR too many annotations wait for a write")
        client.annotation_bytes = size
        client.annotations.append(data)
    return replies.OK


@log.command(
    "replicad.position", 1, "The position of this connection's last write, or the visible one.", blocking=True
)
def position(client: ClientState, request: Request) -> Reply:
    """On a replica always the visible one, also when this connection wrote while the node was primary: a
    token taken after a read covers what was read."""
    server = client.server
    store = server.store

    def find() -> bytes:
        # Not before: the write may have been in the group still when the command came.
        sequence = client.replies.last_write if server.node.role == "primary" else 0
        if not sequence:
            return replies.bulk(str(store.visible_position).encode())
        newest = store.position
        found = newest if newest.sequence == sequence else store.position_at(sequence)
        if found is None:
            return replies.error("LOGGONE the log no longer holds this connection's last write")
        return replies.bulk(str(found).encode())

    return LookUp(find)


@log.command(
    "replicad.updates",
    -3,
    "Durable batches from the log: SINCE COUNT [BLOCK ms].",
    usage="sequence count [BLOCK milliseconds]",
    blocking=True,
)
def updates(client: ClientState, request: Request) -> Reply:
    since, count = parse_count(request[1]), parse_count(request[2])
    block_ms = _block_ms(request)
    server = client.server
    store = server.store

    def read() -> list[bytes]:
        return read_updates(store, since, count, client.protocol, server.options.built_bytes_max)

    return AsTask(lambda: _answer(server, read, since, block_ms, replies.array))


@log.command(
    "replicad.frames",
    -3,
    "Durable log frames as they are, about this many bytes: SINCE BYTES [BLOCK ms].",
    usage="sequence bytes [BLOCK milliseconds]",
    blocking=True,
)
def frames(client: ClientState, request: Request) -> Reply:
    """Whole frames from the one that holds the sequence number on, one at least; empty where none follows."""
    since, size = parse_count(request[1]), parse_count(request[2])
    block_ms = _block_ms(request)
    server = client.server
    store = server.store
    if (reader := client.feed_reader) is not None and reader.slots is not None:
        reader.slots.asked(reader)

    def read() -> bytes:
        return read_frames(store, since, size)

    return AsTask(lambda: _answer(server, read, since, block_ms, replies.bulk))


async def _answer(
    server: ServerState,
    read: Callable[[], Found],
    since: int,
    block_ms: int,
    reply: Callable[[Found], bytes],
) -> bytes:
    try:
        return reply(await _read(server, read, since, block_ms))
    except LogGoneError as error:
        return replies.error(f"LOGGONE {error.first_available}")
    except BatchTooLargeError as error:
        return replies.error(f"ERR {error}")


async def _read(server: ServerState, read: Callable[[], Found], since: int, block_ms: int) -> Found:
    """What is read from the log; where nothing is there, once more when `since` is durable or time is up."""
    found = await _read_alone(server, read)
    if not found and block_ms:
        store = server.store
        await server.conditions.wait_until(lambda: store.durable_sequence >= since, block_ms / 1000)
        found = await _read_alone(server, read)
    return found


async def _read_alone(server: ServerState, read: Callable[[], Found]) -> Found:
    # One such reply is built at a time, and those before it count as what their clients have buffered: so all
    # of them are under one budget.
    async with server.building:
        server.relieve()
        return await server.workers.run(read)


def _block_ms(request: Request) -> int:
    if len(request) == 3:
        return 0
    if len(request) != 5 or request[3].upper() != b"BLOCK":
        raise Refused(refusals.SYNTAX)
    return parse_count(request[4])


@log.command(
    "replicad.sequenceat",
    2,
    "The first sequence number committed at a time (microseconds) or later.",
    usage="microseconds",
    blocking=True,
)
def sequence_at(client: ClientState, request: Request) -> Reply:
    commit_time_us, store = parse_count(request[1]), client.server.store

    def find() -> bytes:
        try:
            return replies.integer(store.sequence_at_time(commit_time_us))
        except LogGoneError as error:
            return replies.error(f"LOGGONE {error.first_available}")

    return InThread(find)
