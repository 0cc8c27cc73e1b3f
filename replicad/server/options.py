"""The limits of the client port: sizes in bytes, times in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from replicad.options import BATCH_BYTES_MAX, GIB, KIB, MIB, VALUE_BYTES_MAX, check_numbers

KEYS_AT_ONCE = 1000
"""More are looked up in a thread, so that others are served meanwhile."""


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """What one client, and all clients together, may take."""

    clients_max: int = 10_000
    """Connections; at most half of the file descriptors that the system allows (`ulimit -n`). Where there are
    users, half of them may be of clients that have not logged in, and a quarter of such from one address."""
    arguments_max: int = 1_048_576
    """Of one command."""
    bulk_bytes_max: int = VALUE_BYTES_MAX
    """Of one argument."""
    request_bytes_max: int = BATCH_BYTES_MAX + MIB
    """Of a whole command, and of the commands that one MULTI queues."""
    inline_bytes_max: int = 64 * KIB
    """Of a command that is written as a line."""
    reply_bytes_max: int = 256 * MIB
    """Of one reply. One that a thread builds has at most `buffered_bytes_max / threads_max`."""
    output_bytes_max: int = 64 * MIB
    """While more output than this waits for a client, its commands wait, and no more is read from it."""
    buffered_bytes_max: int = GIB
    """For all clients together. Beyond it, writes that wait for a change of roles are refused, then the
    client with the most is closed."""
    output_seconds_max: float = 60.0
    """A client that takes nothing of its output for this long is closed."""
    input_seconds_max: float = 60.0
    """So is a client whose unfinished command does not grow for this long."""
    slow_seconds: float = 0.01
    """A command that takes this long is kept for SLOWLOG, and logged without its arguments; 0: every command
    that Python executes."""
    threads_max: int = 4
    """Threads for commands that take long."""

    LEAST: ClassVar[Mapping[str, float]] = {"slow_seconds": 0}

    @property
    def built_bytes_max(self) -> int:
        """Of a reply that a thread builds: with `threads_max` of them at once, or several copies of one, all
        stay within `buffered_bytes_max`."""
        return min(self.reply_bytes_max, self.buffered_bytes_max // self.threads_max)

    def __post_init__(self) -> None:
        check_numbers(self)
