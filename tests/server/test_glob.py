"""Glob patterns mean what they mean in Redis, and take no exponential time."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicad.errors import InvalidArgument
from replicad.server.glob import compile_glob, literal_prefix


def matches(pattern: bytes, key: bytes) -> bool:
    matcher = compile_glob(pattern)
    return matcher is None or bool(matcher(key))


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        (b"*", [b"", b"a", b"a\nb"], []),
        (b"", [b""], [b"a"]),
        (b"h?llo", [b"hello", b"h\nllo"], [b"hllo", b"heello"]),
        (b"h*llo", [b"hllo", b"heeello"], [b"hllox", b"xhllo"]),
        (b"h[ae]llo", [b"hello", b"hallo"], [b"hillo"]),
        (b"h[^e]llo", [b"hallo"], [b"hello", b"hllo"]),
        (b"h[a-c]llo", [b"hallo", b"hcllo"], [b"hdllo"]),
        (b"h[c-a]llo", [b"hbllo"], [b"hdllo"]),
        (rb"h\*llo", [b"h*llo"], [b"hello"]),
        (rb"[\]]", [b"]"], [b"\\"]),
        (b"a*b*c", [b"abc", b"aXbXbXc"], [b"acb", b"ab"]),
        (b"*.py", [b".py", b"a.py.py"], [b".pyc", b"py"]),
        (b"[", [], [b"[", b""]),
        (b"[abc", [b"a"], [b"d"]),
        (b"a.c", [b"a.c"], [b"abc"]),
        (b"\xff*", [b"\xff\x00"], [b"\xfe"]),
        (b"\\", [b"\\"], [b""]),
    ],
)
def test_each_wildcard_matches_what_redis_would_match(
    pattern: bytes, yes: list[bytes], no: list[bytes]
) -> None:
    """Each kind of wildcard, and bytes that mean something in regular expressions."""
    assert [key for key in yes if not matches(pattern, key)] == []
    assert [key for key in no if matches(pattern, key)] == []


def slow_match(pattern: bytes, key: bytes) -> bool:
    """Stars and question marks only, by trying everything."""
    if not pattern:
        return not key
    if pattern[:1] == b"*":
        return any(slow_match(pattern[1:], key[skip:]) for skip in range(len(key) + 1))
    return bool(key) and pattern[:1] in (b"?", key[:1]) and slow_match(pattern[1:], key[1:])


@given(st.text("ab*?", max_size=8).map(str.encode), st.text("ab", max_size=8).map(str.encode))
def test_stars_agree_with_trying_everything(pattern: bytes, key: bytes) -> None:
    """Never going back over a star loses no match."""
    assert matches(pattern, key) == slow_match(pattern, key)


def test_many_stars_end_soon() -> None:
    """A pattern that would keep a backtracking matcher busy for years ends at once."""
    begin = time.monotonic()
    assert not matches(b"a*" * 100 + b"b", b"a" * 5000)
    assert time.monotonic() - begin < 2.0


def test_a_pattern_has_a_limit() -> None:
    """Longer ones are refused."""
    with pytest.raises(InvalidArgument):
        compile_glob(b"a" * (64 * 1024 + 1))


def test_the_literal_prefix_narrows_a_scan() -> None:
    """It ends before the first byte that means something."""
    assert literal_prefix(b"user:*") == b"user:"
    assert literal_prefix(rb"a\*") == b"a"
    assert literal_prefix(b"*") == b""
    assert literal_prefix(b"plain") == b"plain"
