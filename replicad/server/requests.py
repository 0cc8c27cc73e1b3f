"""From bytes to commands: the requests of RESP, and inline commands.

    request := "*" count CRLF bulk{count}        bulk := "$" length CRLF byte{length} CRLF
    inline  := words separated by blanks, with "quoted \\n words" and 'quoted words', ending with LF

hiredis reads the whole requests of a chunk at once. It would also accept every other type of RESP, and makes
room for as many elements as a header declares, so a chunk goes to it only when its arrays do not declare
more than its bytes can hold, when nothing in it looks like the header of another large aggregate, and what
comes back is used only when it is arrays of bulk strings from the chunk's first byte to its last (a sentinel
request that is fed behind the chunk must come back as it is).
Whatever is not like that (a request cut off by the chunk's end, inline commands, nonsense) is read by the
exact parser below, which keeps nothing but bytes that came, and knows each limit.
"""

from __future__ import annotations

import re
from itertools import chain

import hiredis

from replicad.server.options import ServerOptions

Request = list[bytes]

_DECLARED = re.compile(rb"\*(\d{2,10})")
_ELEMENT_BYTES_MIN = 6  # "$0\r\n\r\n"
# Also in the middle of a value: hiredis does not look at the two bytes that should end one.
_OTHER_AGGREGATES = [re.compile(header) for header in (rb">\d{5}", rb"~\d{5}", rb"%\d{5}", rb"\|\d{5}")]
_SENTINEL = b"*0\r\n"
_HEADER_BYTES_MAX = 32
_DIGITS = re.compile(rb"0|-?[1-9][0-9]{0,18}")
_ONLY_LISTS = {list}
_ONLY_BYTES = {bytes}


class MalformedRequest(Exception):
    """The client's bytes are no request; the message is safe to send back."""


class RequestParser:
    """The requests of one connection, in order.

    After `error` is set the connection is out of step for good: nothing more is read from it.
    """

    def __init__(self, options: ServerOptions) -> None:
        self.error: MalformedRequest | None = None
        self._whole_bytes_max = min(
            options.bulk_bytes_max, options.request_bytes_max, options.arguments_max * _ELEMENT_BYTES_MIN
        )
        """Nothing in so many bytes can be over a limit; the limits of what is longer only `_exact` checks."""
        self._reader = hiredis.Reader()
        self._exact = _ExactParser(options)

    @property
    def unfinished(self) -> bool:
        """Whether part of a request has been read and the rest has not come."""
        return self._exact.unfinished

    @property
    def buffered_bytes(self) -> int:
        return self._exact.buffered_bytes

    def feed(self, data: bytes) -> list[Request]:
        """The requests that `data` completes; those before an error are returned, then `error` is set."""
        if not self._exact.unfinished and data[-2:] == b"\r\n":
            requests = self._read_whole(data)
            if requests is not None:
                return requests
        try:
            return self._feed_in_parts(data)
        except MalformedRequest as error:
            self.error = error
            return self._exact.take()

    def _feed_in_parts(self, data: bytes) -> list[Request]:
        """Finishes the request under way, reads whole ones at once, keeps what the chunk's end cut off."""
        exact = self._exact
        whole = None
        if exact.unfinished:
            data = exact.finish_request(data)
            if data[-2:] == b"\r\n":
                whole = self._read_whole(data)
        split = len(data)
        if whole is None:
            split = data.rfind(b"\r\n*") + 2
            whole = self._read_whole(data[:split]) if split >= 2 else None
        if whole is not None:
            exact.ready += whole
            data = data[split:]
        exact.feed(data)
        return exact.take()

    def _read_whole(self, data: bytes) -> list[Request] | None:
        """The requests in `data`, or None when it is not exactly a row of whole ordinary ones."""
        if len(data) > self._whole_bytes_max:
            return None
        declared = _DECLARED.findall(data)
        if declared and sum(map(int, declared)) * _ELEMENT_BYTES_MIN > len(data):
            return None
        if (0x3E in data or 0x7E in data or 0x25 in data or 0x7C in data) and any(
            header.search(data) for header in _OTHER_AGGREGATES
        ):
            return None
        reader = self._reader
        try:
            reader.feed(data)
            reader.feed(_SENTINEL)
            requests = list(iter(reader.gets, False))
            if (
                requests
                and requests.pop() == []
                and not reader.has_data()
                and all(requests)
                and _ONLY_LISTS.issuperset(map(type, requests))
                and _ONLY_BYTES.issuperset(map(type, chain.from_iterable(requests)))
                and data.count(b"$") >= sum(map(len, requests))
                and data.count(b"*") >= len(requests)
            ):
                return requests
        except (hiredis.HiredisError, MemoryError, ValueError, TypeError):
            pass  # TypeError: a map or set whose key is an array
        self._reader = hiredis.Reader()
        return None


class _ExactParser:
    """Reads requests by the grammar, checks every limit before it waits for more."""

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._buffer = bytearray()
        self._arguments: Request = []
        self._arguments_left = 0
        self._bulk_bytes: int | None = None
        self._request_bytes = 0
        self.unfinished = False
        self.ready: list[Request] = []

    @property
    def buffered_bytes(self) -> int:
        """What has come of an unfinished request."""
        whole_arguments = self._request_bytes - (self._bulk_bytes or 0) if self._arguments_left else 0
        return whole_arguments + len(self._buffer)

    def take(self) -> list[Request]:
        requests, self.ready = self.ready, []
        return requests

    def feed(self, data: bytes) -> None:
        self._buffer += data
        end = self._parse(1 << 62)
        del self._buffer[:end]
        self.unfinished = bool(self._buffer) or self._arguments_left > 0

    def finish_request(self, data: bytes) -> bytes:
        """Completes the request under way; returns the bytes after it, which begin another."""
        self._buffer += data
        end = self._parse(1)
        if not self.ready:
            del self._buffer[:end]
            return b""
        rest = bytes(self._buffer[end:])
        self._buffer.clear()
        self.unfinished = False
        return rest

    def _parse(self, requests_max: int) -> int:
        """Moves whole requests to `ready`; returns where in the buffer it stopped."""
        buffer = self._buffer
        position = 0
        while position < len(buffer) and len(self.ready) < requests_max:
            if self._arguments_left == 0:
                after = self._begin(position)
            elif self._bulk_bytes is None:
                after = self._bulk_header(position)
            else:
                after = self._bulk(position)
            if after is None:
                break
            position = after
        return position

    def _begin(self, position: int) -> int | None:
        buffer = self._buffer
        if buffer[position] != 0x2A:
            return self._inline(position)
        end = self._line_end(position, "too big mbulk count string")
        if end is None:
            return None
        count = _number(buffer[position + 1 : end])
        if count is None or count > self._options.arguments_max:
            raise MalformedRequest("invalid multibulk length")
        self._arguments_left = max(0, count)
        self._arguments = []
        self._request_bytes = 0
        return end + 2

    def _bulk_header(self, position: int) -> int | None:
        buffer = self._buffer
        if buffer[position] != 0x24:
            got = chr(buffer[position]) if 0x20 < buffer[position] < 0x7F else "?"
            raise MalformedRequest(f"expected '$', got '{got}'")
        end = self._line_end(position, "too big bulk count string")
        if end is None:
            return None
        length = _number(buffer[position + 1 : end])
        if length is None or not 0 <= length <= self._options.bulk_bytes_max:
            raise MalformedRequest("invalid bulk length")
        self._request_bytes += length
        if self._request_bytes > self._options.request_bytes_max:
            raise MalformedRequest("too big request")
        self._bulk_bytes = length
        return end + 2

    def _bulk(self, position: int) -> int | None:
        assert self._bulk_bytes is not None
        end = position + self._bulk_bytes
        if len(self._buffer) < end + 2:
            return None
        if self._buffer[end : end + 2] != b"\r\n":
            raise MalformedRequest("expected CRLF after bulk")
        with memoryview(self._buffer) as view:
            self._arguments.append(bytes(view[position:end]))
        self._bulk_bytes = None
        self._arguments_left -= 1
        if self._arguments_left == 0:
            self.ready.append(self._arguments)
            self._arguments = []
        return end + 2

    def _line_end(self, position: int, too_long: str) -> int | None:
        end = self._buffer.find(b"\r\n", position, position + _HEADER_BYTES_MAX)
        if end < 0:
            if len(self._buffer) - position >= _HEADER_BYTES_MAX:
                raise MalformedRequest(too_long)
            return None
        return end

    def _inline(self, position: int) -> int | None:
        limit = self._options.inline_bytes_max
        end = self._buffer.find(b"\n", position, position + limit)
        if end < 0:
            if len(self._buffer) - position >= limit:
                raise MalformedRequest("too big inline request")
            return None
        words = split_words(bytes(self._buffer[position:end]))
        if words is None:
            raise MalformedRequest("unbalanced quotes in request")
        if words:
            self.ready.append(words)
        return end + 1


def _number(digits: bytes | bytearray) -> int | None:
    return int(digits) if _DIGITS.fullmatch(digits) else None


_WORD_PART = re.compile(
    rb"""(?P<blank>[ \t\r\n\v\f\0]+)
       | "(?P<double>(?:[^"\\]|\\.)*+)"(?=[ \t\r\n\v\f\0]|\Z)
       | '(?P<single>(?:[^'\\]|\\.)*+)'(?=[ \t\r\n\v\f\0]|\Z)
       | (?P<plain>[^ \t\r\n\v\f\0"']+)""",
    re.VERBOSE | re.DOTALL,
)
_PLAIN = re.compile(rb"""[^"'\0]*""")
_DOUBLE_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_NAMED_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}


def split_words(line: bytes) -> list[bytes] | None:
    """The words of an inline command, quotes and escapes as in Redis; None when a quote is left open."""
    if _PLAIN.fullmatch(line):
        return line.split()
    words: list[bytes] = []
    joined = False
    position = 0
    while position < len(line):
        match = _WORD_PART.match(line, position)
        if match is None:
            return None
        position = match.end()
        if match["blank"] is not None:
            joined = False
            continue
        if match["double"] is not None:
            part = _DOUBLE_ESCAPE.sub(_unescape, match["double"])
        elif match["single"] is not None:
            part = match["single"].replace(b"\\'", b"'")
        else:
            part = match["plain"]
        if joined:
            words[-1] += part
        else:
            words.append(part)
        joined = True
    return words


def _unescape(match: re.Match[bytes]) -> bytes:
    if match[1] is not None:
        return bytes([int(match[1], 16)])
    return _NAMED_ESCAPES.get(match[2], match[2])
