"""MULTI, EXEC, DISCARD: commands that commit as one batch, with nothing of anybody else in between;
and WATCH, which lets EXEC happen only if nobody changed a key since.
"""

from __future__ import annotations

from contextlib import closing, nullcontext

from replicad.errors import InvalidArgument, NotFoundError
from replicad.server import refusals, replies
from replicad.server.client_state import ClientState
from replicad.server.commands.table import Command, Group, find_command, forbidden, refusal_now
from replicad.server.interfaces import Name, Reader
from replicad.server.later import InPieces, Reply, Work
from replicad.server.requests import Request
from replicad.server.transaction import Transaction
from replicad.server.watches import watched_bytes

transactions = Group("transactions")

Queue = list[tuple[Command, Request]]


@transactions.command("multi", 1, "Begins a transaction.", immediate=True)
def multi(client: ClientState, request: Request) -> bytes:
    if client.queued is not None:
        return refusals.NESTED_MULTI
    client.queued = []
    client.queued_bytes = 0
    client.queue_broken = False
    return replies.OK


@transactions.command("discard", 1, "Forgets the queued commands.", immediate=True)
def discard(client: ClientState, request: Request) -> bytes:
    if client.queued is None:
        return refusals.DISCARD_WITHOUT_MULTI
    client.discard()
    return replies.OK


@transactions.command("exec", 1, "Executes the queued commands as one batch.", immediate=True)
def exec_(client: ClientState, request: Request) -> Reply:
    queue, client.queued = client.queued, None
    client.queued_bytes = 0
    if queue is None:
        return refusals.EXEC_WITHOUT_MULTI
    if client.queue_broken:
        client.unwatch()
        return refusals.EXEC_ABORTED
    return InPieces(_exec(client, [(find_command(request[0]), request) for request in queue]))


def _exec(client: ClientState, queue: Queue) -> Work:
    try:
        return (yield from _execute_still(client, queue))
    finally:
        client.unwatch()


def _execute_still(client: ClientState, queue: Queue) -> Work:
    server = client.server
    refusal = _refusal(client, queue)
    if refusal is not None:
        return refusal
    # Only this thread appends on a writable node, and nobody else writes between the pieces of EXEC, so the
    # newest state stands still; elsewhere only a snapshot does.
    still = nullcontext(server.store.newest) if server.node.is_writable else closing(server.store.snapshot())
    if client.watched.versions:
        server.committer.submit()
    with still as reader:
        if _is_broken(client, reader):
            client.hold(server.store.appended_sequence)
            return replies.nil_array(client.protocol)
        return (yield from _execute(client, queue, Transaction(reader, client.begin_batch)))


def _refusal(client: ClientState, queue: Queue) -> bytes | None:
    """What the node refuses now, though it was queued before: its role or its data may be others since."""
    node = client.server.node
    return next((refusal for command, _ in queue if (refusal := refusal_now(command, node))), None)


def _is_broken(client: ClientState, reader: Reader) -> bool:
    """What was written here breaks a watch by itself; what a replica applied shows by its number only, and so
    does a family that was dropped."""
    watched = client.watched
    if watched.is_broken or not client.server.group.changes().keys().isdisjoint(watched.versions):
        return True
    return any(_version(reader, name) != version for name, version in watched.versions.items())


def _execute(client: ClientState, queue: Queue, transaction: Transaction) -> Work:
    limit = client.server.options.reply_bytes_max
    parts: list[bytes] = []
    size = 0

    client.begin_transaction(transaction)
    try:
        for command, request in queue:
            usage = client.server.usage.by_name[command.name]
            usage.calls += 1
            try:
                # SELECT may have led to a family that this user may not use.
                refusal = forbidden(command, client, request) if client.is_limited else None
                reply = command.handler(client, request) if refusal is None else refusal
                # A long command goes on in pieces here, too: others are served between them.
                if isinstance(reply, InPieces):
                    reply = yield from reply.work
            except InvalidArgument as error:
                return replies.error(f"EXECABORT Transaction discarded because of: {error}")
            except Exception as error:
                reply = client.explain(error, command.name)
            assert isinstance(reply, bytes), f"{command.name} has no reply inside EXEC"

            if reply[:1] == b"-":
                client.server.usage.failed(command.name, reply)

            # Nothing is written when the replies are too large to send: the batch is dropped with them.
            parts.append(reply)
            size += len(reply)
            if size > limit:
                return refusals.REPLY_TOO_LARGE
            if client.turn_is_over():
                yield None
    finally:
        client.end_transaction()
    client.commit_transaction(transaction)
    return b"*%d\r\n%b" % (len(parts), b"".join(parts))


@transactions.command(
    "watch", -2, "Makes the next EXEC depend on these keys.", usage="key ...", immediate=True, keys=(1, -1, 1)
)
def watch(client: ClientState, request: Request) -> Reply:
    """What is watched is a key's commit sequence number (a key that is absent has 0), and every write to it.

    The reply waits until the state that was looked at is visible, so what the client reads from now on is not
    older than what it watches.
    """
    if client.queued is not None:
        return refusals.WATCH_IN_MULTI
    server = client.server
    added = {name for name in map(client.name_of, request[1:]) if name not in client.watched.versions}
    size = client.watched.size_bytes + sum(map(watched_bytes, added))
    if size > server.options.request_bytes_max:
        return refusals.TOO_MUCH_WATCHED
    client.watched.size_bytes = size
    server.committer.submit()
    return InPieces(_watch(client, added))


def _watch(client: ClientState, added: set[Name]) -> Work:
    server = client.server
    newest = server.store.newest
    for name in added:
        server.watches.add(client.watched, name, _version(newest, name))
        if client.turn_is_over():
            yield None
    client.hold(server.store.appended_sequence)
    return replies.OK


def _version(reader: Reader, name: Name) -> int:
    """-1 in a family that was dropped."""
    family, key = (0, name) if isinstance(name, bytes) else name
    try:
        return reader.sequence_of(key, family=family)
    except NotFoundError:
        return -1


@transactions.command("unwatch", 1, "Forgets the watched keys.")
def unwatch(client: ClientState, request: Request) -> bytes:
    client.unwatch()
    return replies.OK
