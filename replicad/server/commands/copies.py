"""Commands that make copies of the data: checkpoints and backups."""

from __future__ import annotations

import json
from pathlib import Path

from replicad.server import refusals, replies
from replicad.server.client_state import ClientState
from replicad.server.commands.container import Container, Subcommand
from replicad.server.commands.table import Group
from replicad.server.later import AsTask, InThread, Reply
from replicad.server.refusals import Refused
from replicad.server.requests import Request

copies = Group("replicad")

_BACKUP = Container(
    "replicad.backup",
    Subcommand(
        "CREATE [TARGET <target>] [FLUSH] [METADATA <bytes>]",
        "Makes a backup; returns its description.",
        0,
        5,
    ),
    Subcommand("STOP", "Stops the running backup; returns how many there were."),
)


@copies.command(
    "replicad.checkpoint",
    2,
    "Makes a copy on this machine; returns its position.",
    usage="path",
    blocking=True,
)
def checkpoint(client: ClientState, request: Request) -> Reply:
    path = Path(request[1].decode("utf-8", "surrogateescape"))
    if b"\0" in request[1] or not path.is_absolute():
        raise Refused(replies.error("ERR a checkpoint's path is absolute"))
    store = client.server.store
    return InThread(lambda: replies.bulk(str(store.create_checkpoint(path).position).encode()))


@copies.command("replicad.backup", -2, "Makes backups, and has them end.", container=_BACKUP, blocking=True)
def backup(client: ClientState, request: Request) -> Reply:
    node = client.server.node
    match request[1].upper(), len(request):
        case b"STOP", 2:
            return replies.integer(int(node.stop_backup()))
        case b"CREATE", _:
            target, flush, metadata = _backup_arguments(request)

            async def make() -> bytes:
                document = await node.backup(target, flush=flush, metadata=metadata)
                return replies.bulk(json.dumps(document).encode())

            return AsTask(make)
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
