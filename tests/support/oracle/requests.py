"""The parser of requests, slow and plain: by the grammar of `kernels.RequestParser`, byte ranges of one
buffer."""

from __future__ import annotations

import re

from replicad.server.options import ServerOptions
from replicad.server.requests import MalformedRequest, Request, split_words

_HEADER_BYTES_MAX = 32
_DIGITS = re.compile(rb"0|-?[1-9][0-9]{0,18}")


class ExactParser:
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
