"""Counters: values that are 64-bit integers in decimal."""

from __future__ import annotations

from replicad.server import refusals
from replicad.server.client_state import ClientState
from replicad.server.commands.arguments import INTEGER_MAX, INTEGER_MIN, parse_integer
from replicad.server.commands.table import Group
from replicad.server.refusals import Refused
from replicad.server.requests import Request

numbers = Group("string")

_ONE_KEY = (1, 1, 1)


def _change(client: ClientState, key: bytes, change: int) -> bytes:
    old = client.read_newest(key)
    number = (0 if old is None else parse_integer(old)) + change
    if not INTEGER_MIN <= number <= INTEGER_MAX:
        raise Refused(refusals.OVERFLOW)
    client.put(key, b"%d" % number)
    return b":%d\r\n" % number


@numbers.command("incr", 2, "Adds one.", usage="key", writes=True, keys=_ONE_KEY)
def incr(client: ClientState, request: Request) -> bytes:
    return _change(client, request[1], 1)


@numbers.command("decr", 2, "Subtracts one.", usage="key", writes=True, keys=_ONE_KEY)
def decr(client: ClientState, request: Request) -> bytes:
    return _change(client, request[1], -1)


@numbers.command("incrby", 3, "Adds an integer.", usage="key increment", writes=True, keys=_ONE_KEY)
def incrby(client: ClientState, request: Request) -> bytes:
    return _change(client, request[1], parse_integer(request[2]))


@numbers.command("decrby", 3, "Subtracts an integer.", usage="key decrement", writes=True, keys=_ONE_KEY)
def decrby(client: ClientState, request: Request) -> bytes:
    change = parse_integer(request[2])
    if change == INTEGER_MIN:
        raise Refused(refusals.DECREMENT_OVERFLOW)
    return _change(client, request[1], -change)
