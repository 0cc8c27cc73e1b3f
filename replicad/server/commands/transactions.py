"""MULTI, EXEC, DISCARD: commands that commit as one batch, with nothing of anybody else in between."""

from __future__ import annotations

from contextlib import closing, nullcontext
from typing import TYPE_CHECKING

from replicad.errors import InvalidArgument
from replicad.server import refusals, replies
from replicad.server.commands.table import Group
from replicad.server.requests import Request
from replicad.server.writes import Transaction

if TYPE_CHECKING:
    from replicad.server.connection import Connection

transactions = Group("transactions")


@transactions.command("multi", 1, "Begins a transaction.", immediate=True)
def multi(client: Connection, request: Request) -> bytes:
    if client.queue is not None:
        return refusals.NESTED_MULTI
    client.queue = []
    client.queue_bytes = 0
    client.queue_broken = False
    return replies.OK


@transactions.command("discard", 1, "Forgets the queued commands.", immediate=True)
def discard(client: Connection, request: Request) -> bytes:
    if client.queue is None:
        return refusals.DISCARD_WITHOUT_MULTI
    client.queue = None
    client.queue_bytes = 0
    return replies.OK


@transactions.command("exec", 1, "Executes the queued commands as one batch.", immediate=True)
def exec_(client: Connection, request: Request) -> bytes:
    queue, client.queue = client.queue, None
    client.queue_bytes = 0
    if queue is None:
        return refusals.EXEC_WITHOUT_MULTI
    if client.queue_broken:
        return refusals.EXEC_ABORTED
    server = client.server
    if not server.node.is_writable and any(command.writes for command, _ in queue):
        return refusals.READ_ONLY
    # Only this thread appends on a writable node, so the newest state stands still during EXEC; elsewhere
    # only a snapshot does.
    still = nullcontext(server.store.newest) if server.node.is_writable else closing(server.store.snapshot())
    with still as reader:
        return _execute(client, queue, Transaction(reader.get, client.begin_batch))


def _execute(client: Connection, queue: list, transaction: Transaction) -> bytes:  # type: ignore[type-arg]
    limit = client.server.options.reply_bytes_max
    parts: list[bytes] = []
    size = 0
    client.transaction = transaction
    client.direct = False
    try:
        for command, request in queue:
            try:
                reply = command.handler(client, request)
            except InvalidArgument as error:
                return replies.error(f"EXECABORT Transaction discarded because of: {error}")
            except Exception as error:
                reply = client.explain(error, command)
            assert reply is not None, f"{command.name} has no reply inside EXEC"
            parts.append(reply)
            size += len(reply)
            if size > limit:
                return refusals.REPLY_TOO_LARGE
    finally:
        client.transaction = None
        client.direct = not client.held
    client.finish_transaction(transaction)
    return b"*%d\r\n%b" % (len(parts), b"".join(parts))


@transactions.command("watch", -2, "Refused.", immediate=True)
def watch(client: Connection, request: Request) -> bytes:
    return refusals.NO_WATCH


@transactions.command("unwatch", 1, "Does nothing: there is no WATCH.")
def unwatch(client: Connection, request: Request) -> bytes:
    return replies.OK
