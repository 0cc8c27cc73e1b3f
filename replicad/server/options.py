"""The limits of the client port: sizes in bytes, times in seconds."""

from __future__ import annotations

from dataclasses import dataclass

from replicad.options import BATCH_BYTES_MAX, GIB, KIB, MIB, VALUE_BYTES_MAX, check_numbers

KEYS_AT_ONCE = 1000
"""More are looked up in a thread, so that others are served meanwhile."""


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """What one client, and all clients together, may take.

    `request_bytes_max` bounds a whole command, and the commands queued by one MULTI; `reply_bytes_max` one
    reply. While more than `output_bytes_max` waits for a client, its commands are not executed and no more
    is read from it. It is closed when it takes nothing of that for `output_seconds_max`, or when its
    unfinished command does not grow for `input_seconds_max`. When all clients together take more than
    `buffered_bytes_max`, writes that wait for a change of roles are refused, then the largest is closed.
    """

    clients_max: int = 10_000
    arguments_max: int = 1_048_576
    bulk_bytes_max: int = VALUE_BYTES_MAX
    request_bytes_max: int = BATCH_BYTES_MAX + MIB
    inline_bytes_max: int = 64 * KIB
    reply_bytes_max: int = 256 * MIB
    output_bytes_max: int = 64 * MIB
    buffered_bytes_max: int = GIB
    output_seconds_max: float = 60.0
    input_seconds_max: float = 60.0
    threads_max: int = 4

    @property
    def built_bytes_max(self) -> int:
        """Of a reply that a thread builds: with `threads_max` of them at once, or several copies of one, all
        stay within `buffered_bytes_max`."""
        return min(self.reply_bytes_max, self.buffered_bytes_max // self.threads_max)

    def __post_init__(self) -> None:
        check_numbers(self)
