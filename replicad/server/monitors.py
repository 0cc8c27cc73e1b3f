"""MONITOR: clients that are shown the commands of all clients, one line for each, as Redis shows them.

    1764510000.123456 [0 127.0.0.1:50312] "set" "key" "value"

A command is shown when it is taken: before it is executed, or when MULTI queues it. Those that only an
administrator may send and those that may hold a secret are not shown, nor what is refused. Long requests are
cut as in SLOWLOG. While anybody watches, the kernel executes nothing by itself. Belongs to the event loop.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from replicad.server.requests import Request
from replicad.server.slow_log import shortened

_NOT_SHOWN_AS_IT_IS = re.compile(rb"[^ !#-\[\]-~]")
_ESCAPES = {b"\\": b"\\\\", b'"': b'\\"', b"\n": b"\\n", b"\r": b"\\r", b"\t": b"\\t"} | {
    b"\a": b"\\a",
    b"\b": b"\\b",
}


class Replies(Protocol):
    def append(self, reply: bytes) -> None: ...


class Watcher(Protocol):
    """A client whose command is shown, or to whom it is."""

    peer: str
    family: int

    @property
    def replies(self) -> Replies: ...


class Monitors:
    def __init__(self, wall_us: Callable[[], int], call_soon: Callable[[Callable[[], None]], object]) -> None:
        self.clients: dict[Watcher, None] = {}
        """Those that watch."""
        self.on_shown: Callable[[list[Watcher]], None] = lambda clients: None
        """Has what was shown sent. Called once for many lines."""
        self._wall_us = wall_us
        self._call_soon = call_soon
        self._is_due = False

    def add(self, client: Watcher) -> None:
        self.clients[client] = None

    def forget(self, client: Watcher) -> None:
        self.clients.pop(client, None)

    def show(self, client: Watcher, request: Request) -> None:
        seconds, microseconds = divmod(self._wall_us(), 1_000_000)
        words = b" ".join([quoted(word) for word in shortened(request)])
        sender = b"%d %b" % (client.family, client.peer.encode())
        line = b"+%d.%06d [%b] %b\r\n" % (seconds, microseconds, sender, words)
        for watching in self.clients:
            watching.replies.append(line)
        if not self._is_due:
            self._is_due = True
            self._call_soon(self._send)

    def _send(self) -> None:
        self._is_due = False
        self.on_shown(list(self.clients))


def quoted(word: bytes) -> bytes:
    """In quotes, with what is not printable escaped as in Redis."""
    return b'"%b"' % _NOT_SHOWN_AS_IT_IS.sub(_escaped, word)


def _escaped(match: re.Match[bytes]) -> bytes:
    byte = match[0]
    return _ESCAPES.get(byte) or b"\\x%02x" % byte[0]
