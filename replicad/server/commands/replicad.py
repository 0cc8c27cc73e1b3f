"""REPLICAD.*: positions, annotations, digests, the log, copies, column families."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from replicad.errors import BatchTooLargeError, LogGoneError
from replicad.options import ANNOTATION_BYTES_MAX
from replicad.server import refusals, replies
from replicad.server.commands.arguments import parse_count
from replicad.server.commands.container import Container, Subcommand
from replicad.server.commands.table import Group
from replicad.server.refusals import Refused
from replicad.server.requests import Request
from replicad.server.updates import read_updates
from replicad.store.reading import Snapshot

if TYPE_CHECKING:
    from replicad.server.connection import ClientConnection

ours = Group("replicad")

_EACH_BYTES = 64  # what Python adds
_ANNOTATIONS_BYTES_MAX = 16 * (ANNOTATION_BYTES_MAX + _EACH_BYTES)


@ours.command("replicad.logdata", 2, "Annotates the next batch in the log.", usage="data", writes=True)
def logdata(client: ClientConnection, request: Request) -> bytes:
    data = request[1]
    if len(data) > ANNOTATION_BYTES_MAX:
        return replies.error(f"ERR an annotation has at most {ANNOTATION_BYTES_MAX} bytes")
    if client.transaction is not None:
        client.transaction.open_batch().put_log_data(data)
    else:
        size = client.annotation_bytes + len(data) + _EACH_BYTES
        if size > _ANNOTATIONS_BYTES_MAX:
            return replies.error("ERR too many annotations wait for a write")
        client.annotation_bytes = size
        client.annotations.append(data)
    return replies.OK


@ours.command(
    "replicad.position", 1, "The position of the last write here, or the visible one.", blocking=True
)
def position(client: ClientConnection, request: Request) -> None:
    """On a replica always the visible one, also when this connection wrote while the node was primary: a
    token taken after a read covers what was read."""
    server = client.server
    store = server.store

    def find() -> bytes:
        # Not before: the write may have been in the group still when the command came.
        sequence = client.last_write if server.node.role == "primary" else 0
        if not sequence:
            return replies.bulk(str(store.visible_position).encode())
        newest = store.position
        found = newest if newest.sequence == sequence else store.position_at(sequence)
        if found is None:
            return replies.error("LOGGONE the log no longer holds this connection's last write")
        return replies.bulk(str(found).encode())

    server.run_look_up(client, find)


@ours.command("replicad.digest", 1, "Sequence number and digest of a snapshot taken now.", blocking=True)
def digest(client: ClientConnection, request: Request) -> None:
    store = client.server.store

    def compute(snapshot: Snapshot) -> bytes:
        sequence, hexadecimal = store.digest(snapshot)
        return replies.array([replies.integer(sequence), replies.bulk(hexadecimal.encode())])

    client.server.run_on_snapshot(client, compute)


@ours.command("replicad.status", 1, "The node's status document, in JSON.")
def status(client: ClientConnection, request: Request) -> bytes:
    return replies.bulk(json.dumps(client.server.node.status(), default=str).encode())


_SLOT = Container("replicad.slot", Subcommand("DROP <node-id>", "Ends the slot of a replica.", 1, 1))


@ours.command("replicad.slot", -2, "Ends slots of replicas.", container=_SLOT)
def slot(client: ClientConnection, request: Request) -> bytes:
    answer = _SLOT.answer(request)
    if answer is not None:
        return answer
    try:
        node_id = bytes.fromhex(request[2].decode("ascii"))
    except ValueError:
        raise Refused(replies.error("ERR a node id is 32 hexadecimal digits")) from None
    return replies.integer(client.server.node.drop_slot(node_id))


@ours.command(
    "replicad.throttle",
    -1,
    "Bytes a second that copies sent to replicas may take; 0 means no limit.",
    usage="[number]",
)
def throttle(client: ClientConnection, request: Request) -> bytes:
    node = client.server.node
    if len(request) == 1:
        return replies.integer(node.copy_bytes_per_second)
    if len(request) > 2:
        return refusals.SYNTAX
    node.throttle_copies(parse_count(request[1]))
    return replies.OK


@ours.command(
    "replicad.checkpoint",
    2,
    "Makes a copy on this machine; returns its position.",
    usage="path",
    blocking=True,
)
def checkpoint(client: ClientConnection, request: Request) -> None:
    path = Path(request[1].decode("utf-8", "surrogateescape"))
    if b"\0" in request[1] or not path.is_absolute():
        raise Refused(replies.error("ERR a checkpoint's path is absolute"))
    store = client.server.store
    client.server.run_in_thread(
        client, lambda: replies.bulk(str(store.create_checkpoint(path).position).encode())
    )


_BACKUP = Container(
    "replicad.backup",
    Subcommand(
        "CREATE [TARGET <target>] [FLUSH] [METADATA <bytes>]", "Makes a backup; returns what it is.", 0, 5
    ),
    Subcommand("STOP", "Has the backup under way end; returns how many there were."),
)
_FAMILY = Container(
    "replicad.family",
    Subcommand("LIST", "Returns names and numbers."),
    Subcommand("CREATE <name>", "Makes a column family; returns its number.", 1, 1),
    Subcommand("DROP <number>", "Ends a column family, with what is in it.", 1, 1),
)


@ours.command("replicad.backup", -2, "Makes backups, and has them end.", container=_BACKUP, blocking=True)
def backup(client: ClientConnection, request: Request) -> bytes | None:
    answer = _BACKUP.answer(request)
    if answer is not None:
        return answer
    node = client.server.node
    match request[1].upper(), len(request):
        case b"STOP", 2:
            return replies.integer(int(node.stop_backup()))
        case b"CREATE", _:
            target, flush, metadata = _backup_arguments(request)

            async def make() -> bytes:
                document = await node.backup(target, flush=flush, metadata=metadata)
                return replies.bulk(json.dumps(document).encode())

            client.server.run_task(client, make)
            return None
    return refusals.unknown_subcommand("replicad.backup", request[1])


def _backup_arguments(request: Request) -> tuple[str | None, bool, bytes]:
    """(target, flush, metadata)."""
    target, flush, metadata = None, False, b""
    rest = list(request[2:])
    while rest:
        option = rest.pop(0).upper()
        if option == b"FLUSH":
            flush = True
        elif option == b"TARGET" and rest:
            target = _backup_target(rest.pop(0))
        elif option == b"METADATA" and rest:
            metadata = rest.pop(0)
        else:
            raise Refused(refusals.SYNTAX)
    return target, flush, metadata


def _backup_target(data: bytes) -> str:
    text = data.decode("utf-8", "surrogateescape")
    if b"\0" in data or not (text.startswith("/") or "://" in text):
        raise Refused(replies.error("ERR a target is an absolute path or a URL"))
    return text


@ours.command(
    "replicad.updates",
    -3,
    "Durable batches from the log: SINCE COUNT [BLOCK ms].",
    usage="sequence count [BLOCK milliseconds]",
    blocking=True,
)
def updates(client: ClientConnection, request: Request) -> None:
    since, count = parse_count(request[1]), parse_count(request[2])
    block_ms = 0
    if len(request) > 3:
        if len(request) != 5 or request[3].upper() != b"BLOCK":
            raise Refused(refusals.SYNTAX)
        block_ms = parse_count(request[4])
    server = client.server
    store = server.store

    def read() -> list[bytes]:
        return read_updates(store, since, count, client.protocol, server.options.built_bytes_max)

    async def read_alone() -> list[bytes]:
        # One such reply is built at a time, and those before it count as what their clients have buffered: so
        # all of them are under one budget, whoever asks.
        async with server.building:
            server.relieve()
            return await server.in_thread(read)

    async def read_when_there() -> bytes:
        try:
            found = await read_alone()
            if not found and block_ms:
                await server.wait_until(lambda: store.durable_sequence >= since, block_ms / 1000)
                found = await read_alone()
        except LogGoneError as error:
            return replies.error(f"LOGGONE {error.first_available}")
        except BatchTooLargeError as error:
            return replies.error(f"ERR {error}")
        return replies.array(found)

    server.run_task(client, read_when_there)


@ours.command(
    "replicad.sequenceat",
    2,
    "The first number committed at a time (microseconds) or later.",
    usage="microseconds",
    blocking=True,
)
def sequence_at(client: ClientConnection, request: Request) -> None:
    commit_time_us, store = parse_count(request[1]), client.server.store

    def find() -> bytes:
        try:
            return replies.integer(store.sequence_at_time(commit_time_us))
        except LogGoneError as error:
            return replies.error(f"LOGGONE {error.first_available}")

    client.server.run_in_thread(client, find)


@ours.command("replicad.family", -2, "Makes and drops column families.", container=_FAMILY, blocking=True)
def family(client: ClientConnection, request: Request) -> bytes:
    answer = _FAMILY.answer(request)
    if answer is not None:
        return answer
    store = client.server.store
    match request[1].upper(), len(request):
        case b"LIST", 2:
            return replies.encode(list(map(list, store.families.items())), client.protocol)
        case b"CREATE", 3:
            _prepare_change(client)
            created, sequence = store.submit_create_family(_family_name(request[2]))
            client.hold_written(sequence)
            return replies.integer(created)
        case b"DROP", 3:
            dropped = parse_count(request[2])
            _prepare_change(client)
            client.hold_written(store.submit_drop_family(dropped))
            return replies.OK
    return refusals.unknown_subcommand("replicad.family", request[1])


def _prepare_change(client: ClientConnection) -> None:
    """Writes of this tick go first: they may be to the family that goes."""
    node = client.server.node
    if not node.is_writable:
        raise Refused(refusals.read_only(node.primary_address))
    if node.holds_writes():
        raise Refused(refusals.CHANGING)
    client.server.submit_group()


def _family_name(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Refused(replies.error("ERR the name of a column family is UTF-8")) from None
