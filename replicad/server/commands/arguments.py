"""Reading arguments as strictly as Redis does."""

from __future__ import annotations

import re

from replicad.server import refusals, replies
from replicad.server.refusals import Refused

INTEGER_MIN = -(1 << 63)
INTEGER_MAX = (1 << 63) - 1

NAME = re.compile(rb"[!-~]{0,256}")
"""Of a client or its library."""
_INTEGER = re.compile(rb"0|-?[1-9][0-9]{0,18}")


def parse_integer(data: bytes) -> int:
    """A 64-bit integer in its one spelling: no sign but "-", no zeros in front, no blanks."""
    if _INTEGER.fullmatch(data) is not None:
        number = int(data)
        if INTEGER_MIN <= number <= INTEGER_MAX:
            return number
    raise Refused(refusals.NOT_AN_INTEGER)


def parse_count(data: bytes) -> int:
    """An integer that is not negative."""
    number = parse_integer(data)
    if number < 0:
        raise Refused(refusals.NOT_AN_INTEGER)
    return number


def checked_name(name: bytes) -> bytes:
    if not NAME.fullmatch(name):
        raise Refused(
            replies.error("ERR Client names cannot contain spaces, newlines or special characters.")
        )
    return name
