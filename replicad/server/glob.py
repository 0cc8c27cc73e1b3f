"""Redis's glob patterns, matched in time polynomial in the key and the pattern.

    *  any bytes     ?  one byte     [abc] [a-z] [^a]  one byte of, or not of, a set     \\x  x itself

A pattern becomes a regular expression in which every run between two stars is an atomic group: for globs the
leftmost place of each run is the best one, so nothing is ever tried twice (as CPython's fnmatch does it).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from replicad.errors import InvalidArgument
from replicad.options import KEY_BYTES_MAX

PATTERN_BYTES_MAX = KEY_BYTES_MAX

Matcher = Callable[[bytes], object]


def compile_glob(pattern: bytes) -> Matcher | None:
    """A function that is true for the keys that match, or None when every key does."""
    if len(pattern) > PATTERN_BYTES_MAX:
        raise InvalidArgument(f"a pattern has at most {PATTERN_BYTES_MAX} bytes")
    runs = _runs(pattern)
    if len(runs) > 1 and not any(runs):
        return None
    if len(runs) == 1:
        return re.compile(b"(?s:" + runs[0] + rb")\Z").match
    middle = b"".join([b"(?>.*?" + run + b")" for run in runs[1:-1] if run])
    return re.compile(b"(?s:" + runs[0] + middle + b".*" + runs[-1] + rb")\Z").match


def literal_prefix(pattern: bytes) -> bytes:
    """The bytes that every match begins with."""
    match = re.match(rb"[^*?\[\\]*", pattern)
    assert match is not None
    return match[0]


def _runs(pattern: bytes) -> list[bytes]:
    """What stands between the stars, each as a regular expression that matches one byte per atom."""
    runs = [b""]
    position = 0
    while position < len(pattern):
        byte = pattern[position : position + 1]
        position += 1
        if byte == b"*":
            if runs[-1] or len(runs) == 1:
                runs.append(b"")
        elif byte == b"?":
            runs[-1] += b"."
        elif byte == b"[":
            atom, position = _byte_set(pattern, position)
            runs[-1] += atom
        else:
            if byte == b"\\" and position < len(pattern):
                byte = pattern[position : position + 1]
                position += 1
            runs[-1] += re.escape(byte)
    return runs


def _byte_set(pattern: bytes, position: int) -> tuple[bytes, int]:
    """The set after "[" and where it ends; an unclosed one ends with the pattern, as in Redis."""
    negated = pattern[position : position + 1] == b"^"
    position += negated
    members: set[int] = set()
    while position < len(pattern) and pattern[position : position + 1] != b"]":
        first = pattern[position]
        if first == 0x5C and position + 1 < len(pattern):
            members.add(pattern[position + 1])
            position += 2
        elif pattern[position + 1 : position + 2] == b"-" and position + 2 < len(pattern):
            low, high = sorted((first, pattern[position + 2]))
            members.update(range(low, high + 1))
            position += 3
        else:
            members.add(first)
            position += 1
    escaped = b"".join([b"\\x%02x" % member for member in sorted(members)])
    if not members:
        return (b"." if negated else rb"(?!)"), position + 1
    return b"[" + (b"^" if negated else b"") + escaped + b"]", position + 1
