"""Commands on values: whole strings, and the conditions under which they are set."""

from __future__ import annotations

from collections.abc import Callable

from replicad.server import refusals, replies
from replicad.server.client_state import ClientState
from replicad.server.commands.arguments import parse_integer
from replicad.server.commands.table import Group
from replicad.server.interfaces import Walkable
from replicad.server.later import InPieces, Reply, Work
from replicad.server.options import KEYS_AT_ONCE
from replicad.server.refusals import Refused
from replicad.server.requests import Request
from replicad.server.walks import walk

strings = Group("string")

_ONE_KEY = (1, 1, 1)
_SHOWN_BYTES_MAX = 16 * 1024
_EXPIRY_OPTIONS = frozenset([b"EX", b"PX", b"EXAT", b"PXAT"])
_SET_OPTIONS = frozenset([b"NX", b"XX", b"GET", b"KEEPTTL"])
_SET_OPTIONS_MAX = 8


@strings.command("get", 2, "Returns the value of a key.", usage="key", keys=_ONE_KEY)
def get(client: ClientState, request: Request) -> bytes:
    value = client.get(request[1]) if client.direct and not client.held else client.read(request[1])
    if value is None:
        client.server.stats.counts.misses += 1
        return client.nil
    client.server.stats.counts.hits += 1
    if len(value) > _SHOWN_BYTES_MAX:
        client.weigh(len(value))
    return b"$%d\r\n%b\r\n" % (len(value), value)


def _check_set(request: Request) -> bytes | None:
    """KEEPTTL asks for what is so anyway: nothing expires."""
    options = [option.upper() for option in request[3 : 4 + _SET_OPTIONS_MAX]]
    if not _EXPIRY_OPTIONS.isdisjoint(options):
        return refusals.NO_EXPIRY
    known = len(options) <= _SET_OPTIONS_MAX and _SET_OPTIONS.issuperset(options)
    return None if known and not {b"NX", b"XX"}.issubset(options) else refusals.SYNTAX


@strings.command(
    "set",
    -3,
    "Sets the value of a key.",
    usage="key value [NX|XX] [GET] [KEEPTTL]",
    writes=True,
    check=_check_set,
    keys=_ONE_KEY,
)
def set_(client: ClientState, request: Request) -> bytes:
    if len(request) == 3:
        client.put(request[1], request[2])
        return replies.OK
    return _set_with_options(client, request)


def _set_with_options(client: ClientState, request: Request) -> bytes:
    refusal = _check_set(request)
    if refusal is not None:
        return refusal
    options = [option.upper() for option in request[3:]]
    only_absent, only_present, show = b"NX" in options, b"XX" in options, b"GET" in options
    key = request[1]
    old = client.read_newest(key) if show else None
    is_there = old is not None if show or not (only_absent or only_present) else client.contains_newest(key)
    client.end_turn_if_over()  # SET is a quick command, but not where it looks up a value.
    if not (only_absent and is_there) and not (only_present and not is_there):
        client.put(key, request[2])
        return _shown(client, old) if show else replies.OK
    return _shown(client, old) if show else client.nil


def _shown(client: ClientState, value: bytes | None) -> bytes:
    if value is None:
        return client.nil
    client.weigh(len(value))
    return replies.bulk(value)


@strings.command(
    "mget", -2, "Returns the values of several keys.", usage="key ...", walks=True, keys=(1, -1, 1)
)
def mget(client: ClientState, request: Request) -> Reply:
    keys, nil, options = request[1:], client.nil, client.server.options
    if len(keys) < KEYS_AT_ONCE:
        found = _values(client.read_many, keys, nil, options.reply_bytes_max, client.turn_is_over)
        if found is not None:
            client.weigh(len(found[0]))
            return _counted(client, found)
    family = client.family

    def read(state: Walkable) -> _Values:
        def some(chosen: list[bytes]) -> list[bytes | None]:
            return state.multi_get(chosen, family=family)

        return _values(some, keys, nil, options.built_bytes_max, lambda: client.gone) or (b"", 0, 0)

    return walk(client, read, lambda found: _counted(client, found))


_Values = tuple[bytes, int, int]
"""The reply, how many keys were there, and how many were not."""


def _counted(client: ClientState, found: _Values) -> bytes:
    reply, hits, misses = found
    client.server.stats.counts.hits += hits
    client.server.stats.counts.misses += misses
    return reply


def _values(
    read: Callable[[list[bytes]], list[bytes | None]],
    keys: list[bytes],
    nil: bytes,
    limit_bytes: int,
    is_over: Callable[[], bool],
) -> _Values | None:
    """None when it was over before."""
    parts: list[bytes] = []
    size = largest = position = 0
    step = 1
    while position < len(keys):
        for value in read(keys[position : position + step]):
            if value is None:
                parts.append(nil)
            else:
                size += len(value)
                largest = max(largest, len(value))
                parts.append(b"$%d\r\n%b\r\n" % (len(value), value))
        if size > limit_bytes:
            return refusals.REPLY_TOO_LARGE, 0, 0
        position += step
        step = max(1, min(256, _SHOWN_BYTES_MAX * 64 // (largest + 1)))
        if position < len(keys) and is_over():
            return None
    misses = parts.count(nil)
    return b"*%d\r\n%b" % (len(parts), b"".join(parts)), len(parts) - misses, misses


def _check_pairs(request: Request) -> bytes | None:
    return (
        refusals.wrong_arity(request[0].decode("ascii", "replace").lower()) if len(request) % 2 == 0 else None
    )


@strings.command(
    "mset",
    -3,
    "Sets several keys in one batch.",
    usage="<key value> ...",
    writes=True,
    check=_check_pairs,
    keys=(1, -1, 2),
)
def mset(client: ClientState, request: Request) -> Reply:
    return InPieces(_write_all(client, _pairs(request), replies.OK))


def _write_all(client: ClientState, changes: dict[bytes, bytes | None], reply: bytes) -> Work:
    yield from client.write_in_pieces(changes)
    return reply


@strings.command(
    "msetnx",
    -3,
    "Sets several keys if none of them exists.",
    usage="<key value> ...",
    writes=True,
    check=_check_pairs,
    keys=(1, -1, 2),
)
def msetnx(client: ClientState, request: Request) -> Reply:
    return InPieces(_write_all_if_absent(client, _pairs(request)))


def _write_all_if_absent(client: ClientState, changes: dict[bytes, bytes | None]) -> Work:
    for key in changes:
        if client.contains_newest(key):
            return replies.ZERO
        if client.turn_is_over():
            yield None
    return (yield from _write_all(client, changes, replies.ONE))


def _pairs(request: Request) -> dict[bytes, bytes | None]:
    refusal = _check_pairs(request)
    if refusal is not None:
        raise Refused(refusal)
    return dict(zip(request[1::2], request[2::2], strict=True))


@strings.command(
    "setnx", 3, "Sets a key if it does not exist.", usage="key value", writes=True, keys=_ONE_KEY
)
def setnx(client: ClientState, request: Request) -> bytes:
    if client.contains_newest(request[1]):
        return replies.ZERO
    client.put(request[1], request[2])
    return replies.ONE


@strings.command(
    "getset", 3, "Sets a key and returns its old value.", usage="key value", writes=True, keys=_ONE_KEY
)
def getset(client: ClientState, request: Request) -> bytes:
    old = client.read_newest(request[1])
    client.put(request[1], request[2])
    return _shown(client, old)


@strings.command("getdel", 2, "Deletes a key and returns its value.", usage="key", writes=True, keys=_ONE_KEY)
def getdel(client: ClientState, request: Request) -> bytes:
    old = client.read_newest(request[1])
    if old is not None:
        client.write({request[1]: None})
    return _shown(client, old)


@strings.command(
    "append", 3, "Appends to a value; returns its length.", usage="key value", writes=True, keys=_ONE_KEY
)
def append(client: ClientState, request: Request) -> bytes:
    old = client.read_newest(request[1]) or b""
    if len(old) + len(request[2]) > client.server.options.bulk_bytes_max:
        return refusals.STRING_TOO_LONG
    value = old + request[2]
    client.put(request[1], value)
    return replies.integer(len(value))


@strings.command("strlen", 2, "Returns the length of a value.", usage="key", keys=_ONE_KEY)
def strlen(client: ClientState, request: Request) -> bytes:
    length, _ = client.read_part(request[1], 0, 0)
    return replies.integer(length)


@strings.command("getrange", 4, "Returns a part of a value.", usage="key start end", keys=_ONE_KEY)
def getrange(client: ClientState, request: Request) -> bytes:
    first, last = parse_integer(request[2]), parse_integer(request[3])
    _, part = client.read_part(request[1], first, last)
    client.weigh(len(part))
    return replies.bulk(part)


@strings.command(
    "setrange", 4, "Overwrites a part of a value.", usage="key offset value", writes=True, keys=_ONE_KEY
)
def setrange(client: ClientState, request: Request) -> bytes:
    offset, part = parse_integer(request[2]), request[3]
    if offset < 0:
        return replies.error("ERR offset is out of range")
    old = client.read_newest(request[1]) or b""
    if not part:
        return replies.integer(len(old))
    if offset + len(part) > client.server.options.bulk_bytes_max:
        return refusals.STRING_TOO_LONG
    value = old[:offset].ljust(offset, b"\0") + part + old[offset + len(part) :]
    client.put(request[1], value)
    return replies.integer(len(value))


def _check_getex(request: Request) -> bytes | None:
    options = [option.upper() for option in request[2:5]]
    if not options or options == [b"PERSIST"]:
        return None
    return refusals.NO_EXPIRY if options[0] in _EXPIRY_OPTIONS and len(options) == 2 else refusals.SYNTAX


@strings.command(
    "getex", -2, "Returns the value of a key.", usage="key [PERSIST]", check=_check_getex, keys=_ONE_KEY
)
def getex(client: ClientState, request: Request) -> bytes:
    """Nothing expires, so without an expiry it is GET, and PERSIST changes nothing."""
    return _check_getex(request) or _shown(client, client.read(request[1]))


@strings.command("persist", 2, "Returns 0: no value expires.", usage="key", keys=_ONE_KEY)
def persist(client: ClientState, request: Request) -> bytes:
    return replies.ZERO


def _refuse_expiry(client: ClientState, request: Request) -> bytes:
    return refusals.NO_EXPIRY


for _name, _arity, _usage in (
    ("setex", 4, "key seconds value"),
    ("psetex", 4, "key milliseconds value"),
    ("expire", -3, "key seconds [NX|XX|GT|LT]"),
    ("pexpire", -3, "key milliseconds [NX|XX|GT|LT]"),
    ("expireat", -3, "key timestamp [NX|XX|GT|LT]"),
    ("pexpireat", -3, "key timestamp [NX|XX|GT|LT]"),
):
    strings.command(
        _name, _arity, "Refused: no value expires.", usage=_usage, writes=True, refused=True, keys=_ONE_KEY
    )(_refuse_expiry)
