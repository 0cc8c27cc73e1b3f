"""From bytes to commands: the requests of RESP, and inline commands.

    request := "*" count CRLF bulk{count}        bulk := "$" length CRLF byte{length} CRLF
    inline  := words separated by blanks, with "quoted \\n words" and 'quoted words', ending with LF

The kernel finds requests and lines, whatever pieces the bytes come in; the words of a line are found here.
"""

from __future__ import annotations

import re

from replicad import kernels
from replicad.server.options import ServerOptions

Request = list[bytes]


class MalformedRequest(Exception):
    """The client's bytes are not a request; the message is safe to send back."""


class RequestParser:
    """The requests of one connection, in order.

    After `error` is set the connection is out of step for good: nothing more is read from it.
    """

    def __init__(self, options: ServerOptions) -> None:
        self.error: MalformedRequest | None = None
        self._parser = kernels.RequestParser(limits_of(options))

    @property
    def unfinished(self) -> bool:
        """Whether part of a request has been read and the rest has not come."""
        return self._parser.unfinished

    @property
    def buffered_bytes(self) -> int:
        return self._parser.buffered_bytes

    def feed(self, data: bytes) -> list[Request]:
        """The requests that `data` completes; those before an error are returned, then `error` is set."""
        if self.error is not None:
            return []
        requests, error = with_words(self._parser.feed(data))
        error = error or self._parser.error
        if error is not None:
            self.error = MalformedRequest(error)
        return requests


def limits_of(options: ServerOptions) -> kernels.RequestLimits:
    return kernels.RequestLimits(
        arguments_max=options.arguments_max,
        bulk_bytes_max=options.bulk_bytes_max,
        request_bytes_max=options.request_bytes_max,
        inline_bytes_max=options.inline_bytes_max,
    )


def with_words(found: list[Request | bytes]) -> tuple[list[Request], str | None]:
    """What the kernel found, with the words of inline commands; and what is wrong with the one after them."""
    requests: list[Request] = []
    for item in found:
        words = split_words(item) if isinstance(item, bytes) else item
        if words is None:
            return requests, "unbalanced quotes in request"
        if words:
            requests.append(words)
    return requests, None


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

        # Parts without a blank between them are one word, as in a shell: ab"c d" is `abc d`.
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
