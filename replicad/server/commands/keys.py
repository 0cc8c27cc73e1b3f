"""Commands on the keyspace: existence, deletion, enumeration, counting.

Whatever walks over many keys does so on a snapshot, in a thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

from replicad.server import refusals, replies
from replicad.server.client_state import ClientState
from replicad.server.commands.arguments import parse_count, parse_integer
from replicad.server.commands.table import Group
from replicad.server.cursors import locate
from replicad.server.glob import compile_glob, literal_prefix
from replicad.server.interfaces import Walkable
from replicad.server.later import InPieces, OnSnapshot, Reply, Work
from replicad.server.options import KEYS_AT_ONCE
from replicad.server.refusals import Refused
from replicad.server.requests import Request
from replicad.server.walks import walk
from replicad.store.reading import successor

keys = Group("generic")

_ONE_KEY = (1, 1, 1)
_ALL_KEYS = (1, -1, 1)
_SCAN_COUNT = 10
_SCAN_BYTES_MAX = 4 << 20
_SCAN_OPTIONS_MAX = 12
_KEY_BYTES = 64
"""What Python adds to a key, about."""


@keys.command("exists", -2, "Counts the keys that exist.", usage="key ...", walks=True, keys=_ALL_KEYS)
def exists(client: ClientState, request: Request) -> Reply:
    if len(request) <= KEYS_AT_ONCE:
        found = 0
        for key in request[1:]:
            if client.turn_is_over():
                break
            found += client.contains(key)
        else:
            return replies.integer(found)
    family = client.family

    def count(state: Walkable) -> bytes:
        wanted = takewhile(lambda _: not client.gone, request[1:])
        return replies.integer(sum(state.contains(key, family=family) for key in wanted))

    return walk(client, count, lambda reply: reply)


keys.command("touch", -2, "Counts the keys that exist.", usage="key ...", walks=True, keys=_ALL_KEYS)(exists)


@keys.command(
    "del", -2, "Deletes keys; returns how many there were.", usage="key ...", writes=True, keys=_ALL_KEYS
)
def del_(client: ClientState, request: Request) -> Reply:
    return InPieces(_delete(client, request[1:]))


def _delete(client: ClientState, names: list[bytes]) -> Work:
    changes: dict[bytes, bytes | None] = {}
    for key in names:
        if key not in changes and client.contains_newest(key):
            changes[key] = None
        if client.turn_is_over():
            yield None
    if changes:
        yield from client.write_in_pieces(changes)
    return replies.integer(len(changes))


keys.command(
    "unlink", -2, "Deletes keys; returns how many there were.", usage="key ...", writes=True, keys=_ALL_KEYS
)(del_)


@keys.command("type", 2, "Returns the type of a value: string, or none.", usage="key", keys=_ONE_KEY)
def type_(client: ClientState, request: Request) -> bytes:
    return b"+string\r\n" if client.contains(request[1]) else b"+none\r\n"


@keys.command(
    "ttl", 2, "Returns -1 for a key that exists, -2 for one that does not.", usage="key", keys=_ONE_KEY
)
def ttl(client: ClientState, request: Request) -> bytes:
    return replies.integer(-1 if client.contains(request[1]) else -2)


for _name in ("pttl", "expiretime", "pexpiretime"):
    keys.command(
        _name, 2, "Returns -1 for a key that exists, -2 for one that does not.", usage="key", keys=_ONE_KEY
    )(ttl)


@keys.command("keys", 2, "Returns all keys that match a pattern.", usage="pattern", walks=True)
def keys_(client: ClientState, request: Request) -> Reply:
    matches = compile_glob(request[1])
    prefix = literal_prefix(request[1])
    limit = client.server.options.built_bytes_max
    family = client.family

    def collect(state: Walkable) -> bytes:
        found: list[bytes] = []
        size = 0
        for key, _ in _wanted(client, state.scan(prefix=prefix or None, family=family)):
            if matches is None or matches(key):
                found.append(key)
                size += len(key) + _KEY_BYTES
                if size > limit:
                    return refusals.REPLY_TOO_LARGE
        return replies.bulk_array(found)

    return walk(client, collect, lambda reply: reply)


def _check_scan(request: Request) -> bytes | None:
    _parse_cursor(request[1])
    _scan_options(request[2:])
    return None


@keys.command(
    "scan",
    -2,
    "Returns some keys and the next cursor.",
    usage="cursor [MATCH pattern] [COUNT count] [TYPE type]",
    walks=True,
    check=_check_scan,
)
def scan(client: ClientState, request: Request) -> Reply:
    """Redis's promise: a key that is there from cursor 0 to cursor 0 is returned, perhaps more than once."""
    cursors = client.server.cursors
    cursor = _parse_cursor(request[1])
    pattern, count, wanted = _scan_options(request[2:])
    matches = compile_glob(pattern)
    prefix = literal_prefix(pattern)
    family = client.family
    resumed = cursors.find(cursor) if cursor else None

    def page(state: Walkable) -> tuple[list[bytes], bytes | None]:
        start = resumed
        if cursor and start is None:
            every = _wanted(client, state.scan(family=family))
            start = locate(cursor, (key for key, _ in every))
        pairs = state.scan(max(prefix, start or b""), successor(prefix), family=family)
        return _page(_wanted(client, pairs), count)

    def reply(result: tuple[list[bytes], bytes | None]) -> bytes:
        found, resume = result
        if matches is not None:
            found = [key for key in found if matches(key)]
        following = 0 if resume is None else cursors.keep(resume)
        return replies.array(
            [replies.bulk(b"%d" % following), replies.bulk_array(found if wanted == b"STRING" else [])]
        )

    return walk(client, page, reply)


def _parse_cursor(data: bytes) -> int:
    try:
        return parse_count(data)
    except Refused:
        raise Refused(refusals.INVALID_CURSOR) from None


def _scan_options(options: list[bytes]) -> tuple[bytes, int, bytes]:
    pattern, count, wanted = b"*", _SCAN_COUNT, b"STRING"
    if len(options) % 2 or len(options) > _SCAN_OPTIONS_MAX:
        raise Refused(refusals.SYNTAX)
    for name, value in zip(options[::2], options[1::2], strict=True):
        option = name.upper()
        if option == b"MATCH":
            pattern = value
        elif option == b"COUNT":
            count = parse_integer(value)
            if count < 1:
                raise Refused(refusals.SYNTAX)
        elif option == b"TYPE":
            wanted = value.upper()
        else:
            raise Refused(refusals.SYNTAX)
    return pattern, count, wanted


def _wanted(client: ClientState, pairs: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """The pairs, until the client is gone and nobody takes the reply."""
    return takewhile(lambda _: not client.gone, pairs)


def _page(pairs: Iterator[tuple[bytes, bytes]], count: int) -> tuple[list[bytes], bytes | None]:
    """Up to `count` keys, fewer when the values passed are large; and the key to go on with."""
    found: list[bytes] = []
    size = 0
    for key, value in pairs:
        if len(found) >= count or size > _SCAN_BYTES_MAX:
            return found, key
        found.append(key)
        size += len(key) + len(value)
    return found, None


@keys.command("dbsize", 1, "Counts the keys; INFO says how old the count is.", walks=True)
def dbsize(client: ClientState, request: Request) -> Reply:
    counter = client.server.key_count(client.family)
    if client.transaction is not None:
        return walk(client, counter.count, replies.integer)
    if not client.held and (known := counter.current()) is not None:
        return replies.integer(known)
    return OnSnapshot(counter.measure, lambda counted: replies.integer(counter.keep(*counted)))


@keys.command("randomkey", 1, "Refused.", refused=True)
def randomkey(client: ClientState, request: Request) -> bytes:
    return replies.error("ERR RANDOMKEY is not supported")


def _refuse_flush(client: ClientState, request: Request) -> bytes:
    return replies.error(f"ERR {request[0].decode('ascii', 'replace').upper()} is not supported")


keys.command("flushall", -1, "Refused.", usage="[ASYNC|SYNC]", writes=True, refused=True)(_refuse_flush)
keys.command("flushdb", -1, "Refused.", usage="[ASYNC|SYNC]", writes=True, refused=True)(_refuse_flush)
