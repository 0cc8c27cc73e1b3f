"""The parser: whatever way the bytes are cut, the same requests; and each limit."""

from __future__ import annotations

import random
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from replicad.server.options import ServerOptions
from replicad.server.requests import MalformedRequest, RequestParser, split_words
from tests.server.harness import encode_request
from tests.support.oracle.requests import ExactParser

REQUESTS = st.lists(
    st.lists(
        st.binary(max_size=20) | st.sampled_from([b"\r\n*3\r\n", b"*12345\r\n", b"$3\r\n"]),
        min_size=1,
        max_size=12,
    ),
    max_size=12,
)


def parser(**limits: int) -> RequestParser:
    return RequestParser(ServerOptions(**limits))


@given(REQUESTS, st.lists(st.integers(0, 400), max_size=6))
def test_the_cuts_between_chunks_do_not_matter(requests: list[list[bytes]], cuts: list[int]) -> None:
    """Requests come out whole and in order, wherever the stream was cut."""
    stream = b"".join([encode_request(*request) for request in requests])
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    reader = parser()
    found = []
    for begin, end in pairwise(edges):
        if end > begin:
            found += reader.feed(stream[begin:end])
    assert found == requests
    assert reader.error is None
    assert not reader.unfinished


PIECES = st.lists(
    st.sampled_from(
        [
            b"*0\r\n",
            b"*-1\r\n",
            b"*1\r\n$4\r\nPING\r\n",
            b"*3\r\n",
            b"*2\r\n$3\r\nGET\r\n",
            b"$3\r\nSET\r\n",
            b"$1\r\nk\r\n",
            b"$8\r\nSHUTDOWN\r\n",
            b"$8\r\n*0\r\n*3\r\n\r\n",
            b"$0\r\n\r\n",
            b"PING\r\n",
            b'SET k "a b"\n',
            b'GET "a\r\n',
            b"\r\n",
            b"\n",
            b"*3",
            b"$5\r\nab",
            b":5\r\n",
            b">2\r\n",
            b"$-1\r\n",
            b"*2x\r\n",
        ]
    ),
    max_size=8,
).map(b"".join)


def oracle(stream: bytes) -> tuple[list[list[bytes]], str, bool]:
    """What the slow parser makes of all of it: the requests, the error, and whether something is
    unfinished."""
    slow = ExactParser(ServerOptions())
    try:
        slow.feed(stream)
    except MalformedRequest as error:
        return slow.take(), str(error), False
    return slow.take(), "None", slow.unfinished


@given(PIECES)
@example(b"*1\r\n$4\r\nPING\r\n*0\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$8\r\nSHUTDOWN\r\n")
@example(b'PING\r\nGET "a\r\nPING\r\n')
def test_every_cut_gives_the_same_requests(stream: bytes) -> None:
    """Good bytes and bad: cut once at any place, or everywhere, they are what the slow parser says they
    are."""
    expected, error, unfinished = oracle(stream)
    everywhere = [stream[at : at + 1] for at in range(len(stream))]
    for pieces in (everywhere, *([stream[:at], stream[at:]] for at in range(len(stream)))):
        reader, found = parser(), []
        for piece in pieces:
            if piece:
                found += reader.feed(piece)
        assert (found, str(reader.error)) == (expected, error)
        assert reader.error is not None or reader.unfinished == unfinished


@given(st.binary(max_size=200) | st.text("*$:%~>|+-0123456789\r\nab", max_size=80).map(str.encode))
def test_any_bytes_are_requests_or_an_error(data: bytes) -> None:
    """Nonsense never raises, and what comes out is lists of bytes; one chunk or many single bytes agree."""
    at_once, bit_by_bit = parser(), parser()
    found = at_once.feed(data) if data else []
    slowly = []
    for index in range(len(data)):
        if bit_by_bit.error is None:
            slowly += bit_by_bit.feed(data[index : index + 1])
    assert all(type(item) is bytes for request in found for item in request)
    assert found == slowly
    assert str(at_once.error) == str(bit_by_bit.error)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"*1\r\n:5\r\n", "expected '$', got ':'"),
        (b"*1\r\n*1\r\n$1\r\na\r\n", "expected '$', got '*'"),
        (b"*1\r\n+PING\r\n", "expected '$', got '+'"),
        (b"*2\r\n$4\r\nECHO\r\n(123\r\n", "expected '$', got '('"),
        (b"*1\r\n\x00", "expected '$', got '?'"),
        (b"*2x\r\n", "invalid multibulk length"),
        (b"*99999999\r\n", "invalid multibulk length"),
        (b"*01\r\n$1\r\na\r\n", "invalid multibulk length"),
        (b"*-0\r\n", "invalid multibulk length"),
        (b"*1\r\n$01\r\na\r\n", "invalid bulk length"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$67108865\r\n", "invalid bulk length"),
        (b"*1\r\n$1_0\r\n", "invalid bulk length"),
        (b"*1\r\n$3\r\nabcde", "expected CRLF after bulk"),
        (b"*1111111111111111111111111111111111", "too big mbulk count string"),
        (b"*1\r\n$111111111111111111111111111111111", "too big bulk count string"),
        (b'GET "a\r\n', "unbalanced quotes in request"),
        (b"x" * 70_000, "too big inline request"),
    ],
)
def test_what_is_no_request_is_named(data: bytes, reason: str) -> None:
    """The reason is Redis's, and the requests before it are not lost."""
    reader = parser()
    assert reader.feed(encode_request("PING") + data) == [[b"PING"]]
    assert str(reader.error) == reason


def test_nothing_is_allocated_from_a_declared_length() -> None:
    """Headers that promise much take no memory."""
    tracemalloc.start()
    readers = []
    for header in [
        b"*1048576\r\n",
        b"*1\r\n$67108864\r\n",
        b"*1000\r\n" * 300,
        b"*9\r\n" * 300,
        b"*99\r\n" * 300,
    ]:
        readers.append(parser())
        readers[-1].feed(header)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 300_000


@pytest.mark.parametrize("before", [b"", b"*2\r\n$1\r\na\r\n", b"*2\r\n$1\r\naXY"])
def test_nothing_is_allocated_whatever_type_declares_it(before: bytes) -> None:
    """Arrays, pushes, sets, maps and what else there may be, behind a bulk string that does not end too."""
    tracemalloc.start()
    for kind in range(256):
        parser().feed(before + b"%c50000000\r\n" % kind)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_a_request_has_a_limit_as_a_whole() -> None:
    """Bulks that are allowed one by one are refused together before they came."""
    reader = parser(bulk_bytes_max=1000, request_bytes_max=2500)
    reader.feed(b"*3\r\n" + (b"$1000\r\n" + b"x" * 1000 + b"\r\n") * 2 + b"$1000\r\n")
    assert str(reader.error) == "too big request"


def test_a_large_value_in_many_chunks_costs_what_it_weighs() -> None:
    """A value that comes in a thousand pieces is put together once."""
    value = random.Random(7).randbytes(4 << 20)
    stream = encode_request("SET", "k", value) + encode_request("PING")
    reader = parser()
    found = []
    for begin in range(0, len(stream), 4096):
        found += reader.feed(stream[begin : begin + 4096])
        assert reader.buffered_bytes <= begin + 4096
    assert found == [[b"SET", b"k", value], [b"PING"]]
    assert reader.buffered_bytes == 0


def test_empty_requests_are_passed_over() -> None:
    """As in Redis, an empty array, a null array and an empty line say nothing."""
    assert parser().feed(b"*0\r\n*-1\r\n\r\n" + encode_request("PING")) == [[b"PING"]]
    assert parser().feed(b"*0\r\n" + encode_request("PING")) == [[b"PING"]]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"SET key value", [b"SET", b"key", b"value"]),
        (b"  GET\t k \r", [b"GET", b"k"]),
        (rb'SET k "a b\n\x41\"q"', [b"SET", b"k", b'a b\nA"q']),
        (rb"SET k 'it\'s \n'", [b"SET", b"k", rb"it's \n"]),
        (b'SET ""', [b"SET", b""]),
        (b'SET "a"b', None),
        (b"SET 'a", None),
        (b"", []),
    ],
)
def test_inline_commands_are_split_as_redis_does(line: bytes, words: list[bytes] | None) -> None:
    """Blanks part words; quotes keep them together; escapes work in double quotes."""
    assert split_words(line) == words


def test_types_that_no_request_has_are_read_as_words() -> None:
    """A set or map of arrays, which Python cannot hold as such, is neither request nor crash."""
    for aggregate in (b"~1", b"%1"):
        parser = RequestParser(ServerOptions())
        assert parser.feed(aggregate + b"\r\n*1\r\n$4\r\nPING\r\n") == [[aggregate], [b"PING"]]
        assert parser.error is None


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"bulk_bytes_max": 1000}, "invalid bulk length"),
        ({"request_bytes_max": 1000}, "too big request"),
        ({"arguments_max": 3}, "invalid multibulk length"),
    ],
)
def test_limits_hold_for_a_request_that_comes_whole(limits: dict[str, int], reason: str) -> None:
    """What is over one is refused in one chunk as in many, and the requests before it are not lost."""
    stream = encode_request("PING") + encode_request("SET", "k", b"v" * 1001, "NX")
    for size in (len(stream), 100):
        reader, found = parser(**limits), []
        for begin in range(0, len(stream), size):
            if reader.error is None:
                found += reader.feed(stream[begin : begin + size])
        assert (found, str(reader.error)) == ([[b"PING"]], reason)
