"""Comparing nodes: REPLICAD.VERIFY with its marks, and digests of key ranges at one of them.

    MARK id seconds                             writes a mark; its sequence number
    SNAPSHOT id seconds                         holds the current visible state instead; its sequence number
    FAMILIES id wait-ms                         waits for the mark: [sequence number, [[id, name] …]]
    SPLIT id family start end part-bytes n      at most n parts: [[end, bytes, digest] …]
    DIGESTS id family bytes-max b0 b1 …         digests of the ranges between boundaries: the same
    ENTRIES id family start end                 [whole?, [[key, digest of the value] …]]
    RELEASE id

An id is 32 hexadecimal digits. An `end`, or last boundary, of no bytes is the family's end. A mark that holds
no snapshot here (any more) is the error NOMARK, data that cannot be read the error CORRUPT.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from replicad.errors import ClosedError, CorruptionError, InvalidArgument, NotFoundError
from replicad.server import refusals, replies
from replicad.server.client_state import ClientState
from replicad.server.commands.arguments import parse_count
from replicad.server.commands.table import Group
from replicad.server.later import AsTask, InThread, OnSnapshot, Reply
from replicad.server.refusals import Refused
from replicad.server.requests import Request
from replicad.store.marks import Mark, MarkId
from replicad.store.ranges import RangeDigest, digest_ranges, list_entries, split
from replicad.store.reading import Snapshot

verification = Group("replicad")

PARTS_MAX = 1024
PART_BYTES_MAX = 64 << 20
_ID = re.compile(rb"[0-9a-f]{32}")

Arguments = Sequence[bytes]


@verification.command(
    "replicad.verify",
    -3,
    "Marks and digests, for comparing nodes.",
    usage="<MARK|SNAPSHOT|FAMILIES|SPLIT|DIGESTS|ENTRIES|RELEASE> id [argument ...]",
    blocking=True,
)
def verify(client: ClientState, request: Request) -> Reply:
    found = _SUBCOMMANDS.get(request[1].upper())
    if found is None:
        return refusals.unknown_subcommand("replicad.verify", request[1])
    run, least, most = found
    if not least <= len(request) - 3 <= most:
        return refusals.wrong_arity("replicad.verify")
    if _ID.fullmatch(request[2]) is None:
        return replies.error("ERR the id of a mark is 32 hexadecimal digits")
    return run(client, MarkId(bytes.fromhex(request[2].decode())), request[3:])


@verification.command("replicad.repair", 1, "Has this replica fetch its data again.")
def repair(client: ClientState, request: Request) -> bytes:
    client.server.node.order_repair("it was ordered by a client")
    return replies.OK


@verification.command(
    "replicad.digest", 1, "Sequence number and digest of a snapshot taken now.", blocking=True
)
def digest(client: ClientState, request: Request) -> Reply:
    store = client.server.store

    def compute(snapshot: Snapshot) -> bytes:
        sequence, hexadecimal = store.digest(snapshot)
        return replies.array([replies.integer(sequence), replies.bulk(hexadecimal.encode())])

    return OnSnapshot(compute)


def _mark(client: ClientState, id: MarkId, arguments: Arguments) -> bytes:
    mark = Mark(id, parse_count(arguments[0]))
    node = client.server.node
    if not node.is_writable:
        raise Refused(refusals.READ_ONLY)
    if node.holds_writes():
        raise Refused(refusals.CHANGING)
    client.server.committer.submit()
    sequence = client.server.store.submit_mark(mark)
    client.hold(sequence)  # not as what a client writes: nodes are compared also while replicas are away
    return replies.integer(sequence)


def _snapshot(client: ClientState, id: MarkId, arguments: Arguments) -> bytes:
    return replies.integer(client.server.store.hold_snapshot(Mark(id, parse_count(arguments[0]))))


def _families(client: ClientState, id: MarkId, arguments: Arguments) -> Reply:
    server = client.server
    store, wait_ms = server.store, parse_count(arguments[0])

    async def when_it_is_there() -> bytes:
        await server.conditions.wait_until(lambda: store.marks.has(id), wait_ms / 1000)
        return _at_mark(client, id, describe)

    def describe() -> bytes:
        snapshot = store.marks.snapshot(id)
        named: list[replies.Value] = [[number, name] for name, number in snapshot.families.items()]
        return replies.encode([snapshot.sequence, named], client.protocol)

    return AsTask(when_it_is_there)


def _split(client: ClientState, id: MarkId, arguments: Arguments) -> Reply:
    family, (start, end) = parse_count(arguments[0]), arguments[1:3]
    part_bytes, parts_max = parse_count(arguments[3]), parse_count(arguments[4])
    if not (0 < part_bytes <= PART_BYTES_MAX and 0 < parts_max <= PARTS_MAX):
        raise Refused(replies.error(f"ERR at most {PARTS_MAX} parts of at most {PART_BYTES_MAX} bytes"))

    def read() -> bytes:
        snapshot = client.server.store.marks.snapshot(id)
        return _encode(
            split(snapshot, family, start, end or None, part_bytes=part_bytes, parts_max=parts_max)
        )

    return InThread(lambda: _at_mark(client, id, read))


def _digests(client: ClientState, id: MarkId, arguments: Arguments) -> Reply:
    family, bytes_max = parse_count(arguments[0]), parse_count(arguments[1])
    bounds: list[bytes | None] = [*arguments[2:-1], arguments[-1] or None]

    def read() -> bytes:
        snapshot = client.server.store.marks.snapshot(id)
        return _encode(digest_ranges(snapshot, family, bounds, bytes_max=bytes_max))

    return InThread(lambda: _at_mark(client, id, read))


def _entries(client: ClientState, id: MarkId, arguments: Arguments) -> Reply:
    family, (start, end) = parse_count(arguments[0]), arguments[1:]

    def read() -> bytes:
        listed = list_entries(client.server.store.marks.snapshot(id), family, start, end or None)
        entries = [replies.bulk_array([entry.key, entry.digest]) for entry in listed.entries]
        return replies.array([replies.integer(int(listed.whole)), replies.array(entries)])

    return InThread(lambda: _at_mark(client, id, read))


def _release(client: ClientState, id: MarkId, arguments: Arguments) -> bytes:
    client.server.store.marks.release(id)
    return replies.OK


def _at_mark(client: ClientState, id: MarkId, read: Callable[[], bytes]) -> bytes:
    try:
        return read()
    except (NotFoundError, ClosedError) as error:
        return replies.error(f"NOMARK {error}")
    except CorruptionError as error:
        client.server.found_corruption(error)
        return replies.error(f"CORRUPT {error}")
    except InvalidArgument as error:
        if client.server.store.marks.has(id):
            raise
        return replies.error(f"NOMARK {error}")


def _encode(parts: list[RangeDigest]) -> bytes:
    return replies.array(
        [
            replies.array(
                [replies.bulk(part.end or b""), replies.integer(part.size_bytes), replies.bulk(part.digest)]
            )
            for part in parts
        ]
    )


_SUBCOMMANDS: dict[bytes, tuple[Callable[[ClientState, MarkId, Arguments], Reply], int, int]] = {
    b"MARK": (_mark, 1, 1),
    b"SNAPSHOT": (_snapshot, 1, 1),
    b"FAMILIES": (_families, 1, 1),
    b"SPLIT": (_split, 5, 5),
    b"DIGESTS": (_digests, 4, PARTS_MAX + 3),
    b"ENTRIES": (_entries, 3, 3),
    b"RELEASE": (_release, 0, 0),
}
"""Each with the least and the greatest number of arguments after the id."""
