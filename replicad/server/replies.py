"""Replies as bytes, in RESP2 and RESP3.

Strings, integers, errors and arrays are the same in both. What differs (nothing, maps) takes the protocol's
version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

OK = b"+OK\r\n"
PONG = b"+PONG\r\n"
QUEUED = b"+QUEUED\r\n"
ZERO = b":0\r\n"
ONE = b":1\r\n"
NIL_BULK = b"$-1\r\n"
NIL_ARRAY = b"*-1\r\n"
NIL_RESP3 = b"_\r\n"

_TEXT_ERROR_MAX = 512
_UNSAFE = bytes(byte for byte in range(256) if byte < 0x20 or byte == 0x7F)
_TO_BLANKS = bytes.maketrans(_UNSAFE, b" " * len(_UNSAFE))


class Word(str):
    """Encoded as a status: where Redis does so, clients insist."""

    __slots__ = ()


Value = bytes | str | int | None | list["Value"] | dict[str, "Value"]


def status(text: bytes) -> bytes:
    return b"+%b\r\n" % text


def integer(number: int) -> bytes:
    return b":%d\r\n" % number


def bulk(value: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(value), value)


def array(encoded: Iterable[bytes]) -> bytes:
    items = list(encoded)
    return b"*%d\r\n%b" % (len(items), b"".join(items))


def bulk_array(values: Iterable[bytes]) -> bytes:
    return array([b"$%d\r\n%b\r\n" % (len(value), value) for value in values])


def mapping(pairs: Mapping[bytes, bytes], protocol: int) -> bytes:
    """A map of encoded keys and values; RESP2 knows it as a flat array."""
    body = b"".join([key + value for key, value in pairs.items()])
    if protocol >= 3:
        return b"%%%d\r\n%b" % (len(pairs), body)
    return b"*%d\r\n%b" % (2 * len(pairs), body)


def push(encoded: Iterable[bytes], protocol: int) -> bytes:
    """What comes beside the replies; RESP2 knows it as an array."""
    as_array = array(encoded)
    return b">" + as_array[1:] if protocol >= 3 else as_array


def error(text: str | bytes) -> bytes:
    """`text` begins with its code. Control bytes become blanks, so that input quoted in it stays inside."""
    raw = text.encode("utf-8", "replace") if isinstance(text, str) else text
    return b"-%b\r\n" % raw[:_TEXT_ERROR_MAX].translate(_TO_BLANKS)


def verbatim(text: bytes, protocol: int) -> bytes:
    """Text for people, as INFO sends it."""
    if protocol >= 3:
        return b"=%d\r\ntxt:%b\r\n" % (len(text) + 4, text)
    return bulk(text)


def nil(protocol: int) -> bytes:
    return NIL_RESP3 if protocol >= 3 else NIL_BULK


def nil_array(protocol: int) -> bytes:
    return NIL_RESP3 if protocol >= 3 else NIL_ARRAY


def encode(value: Value, protocol: int) -> bytes:
    """Any nested value; not for hot paths."""
    if value is None:
        return nil(protocol)
    if isinstance(value, bytes):
        return bulk(value)
    if isinstance(value, Word):
        return status(value.encode())
    if isinstance(value, str):
        return bulk(value.encode())
    if isinstance(value, int):
        return integer(value)
    if isinstance(value, list):
        return array([encode(item, protocol) for item in value])
    return mapping({bulk(key.encode()): encode(item, protocol) for key, item in value.items()}, protocol)
