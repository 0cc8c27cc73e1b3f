"""The commands that took long, for SLOWLOG: the newest of those that Python executed.

What the kernel executes is not in it: nobody reads the clock for each of its commands. Secrets are not in it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from replicad.server.requests import Request

ENTRIES_MAX = 128
ARGUMENTS_MAX = 32
ARGUMENT_BYTES_MAX = 128
SECRET = frozenset(["auth", "hello", "acl", "replicad.backup"])
"""Commands whose arguments are shown nowhere: passwords, tokens, addresses of targets."""


@dataclass(frozen=True, slots=True)
class SlowCommand:
    id: int
    at_seconds: int
    """Since 1970."""
    microseconds: int
    arguments: tuple[bytes, ...]
    """Cut as in Redis."""
    peer: str
    client_name: bytes


class SlowLog:
    def __init__(self, wall_us: Callable[[], int], slow_seconds: float) -> None:
        self.entries: deque[SlowCommand] = deque(maxlen=ENTRIES_MAX)
        """The newest first."""
        self.slow_seconds = slow_seconds
        """From here on a command is slow."""
        self._wall_us = wall_us
        self._next_id = 0

    def note(self, name: str, request: Request, seconds: float, *, peer: str, client_name: bytes) -> None:
        """A command took that long; it is kept if that was long."""
        if seconds < self.slow_seconds or name in SECRET:
            return
        self.entries.appendleft(
            SlowCommand(
                self._next_id,
                self._wall_us() // 1_000_000,
                round(seconds * 1e6),
                shortened(request),
                peer,
                client_name,
            )
        )
        self._next_id += 1


def shortened(request: Request) -> tuple[bytes, ...]:
    """As much of a request as a log that stays small can show."""
    shown = [_cut(argument) for argument in request[:ARGUMENTS_MAX]]
    if len(request) > ARGUMENTS_MAX:
        shown[-1] = b"... (%d more arguments)" % (len(request) - ARGUMENTS_MAX + 1)
    return tuple(shown)


def _cut(argument: bytes) -> bytes:
    over = len(argument) - ARGUMENT_BYTES_MAX
    return argument if over <= 0 else b"%b... (%d more bytes)" % (argument[:ARGUMENT_BYTES_MAX], over)
