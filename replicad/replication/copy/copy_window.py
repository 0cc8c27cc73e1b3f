"""How much of a copy a connection has under way: about twice what the link holds. Pure, no I/O.

    2 x bandwidth x delay, at least two pieces, at most a share of the bound

The delay is the time from a request to the first message of its answer. A request that waits behind others
is answered later than that, so its time is only an upper bound: a window that believed it would grow without
end. So from time to time a window closes until nothing is under way, and the next request measures the
delay. Until the next such request the least time counts.

The bandwidth is what came between a request and its answer, divided by that time; the greatest of the last
second or two counts. While the window limits the copy, a whole window comes in each delay, so the window
doubles with each delay. When the link limits the copy, the window stays.

A window costs little memory: the peer keeps requests and not their answers, and a connection bounds what
waits in it to be written or read. What a window bounds is what a break can make a replica ask for twice.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from replicad.options import MIB

PIECE_BYTES = MIB
"""What one request asks for at most."""
PIECES_MIN = 2
"""While one is written, the next is on its way."""
PIECES_MAX = 1024
"""Requests of one connection, however small their files are: the peer goes on reading while it has these."""
START_BYTES = 8 * MIB
"""The window before anything is measured."""
RATE_SECONDS = 1.0
"""How long a bandwidth counts, and up to twice that."""
MEASURE_SECONDS = 10.0
MEASURE_DELAYS = 50
"""A delay is measured anew when both have passed, because that costs one delay in which nothing comes."""


def window_bytes(
    bytes_per_second: float | None, delay_seconds: float | None, *, least: int, most: int
) -> int:
    """`most` prevails over `least`. None is what has not been measured yet."""
    if bytes_per_second is None or delay_seconds is None:
        return min(START_BYTES, most)
    return min(max(least, round(2 * bytes_per_second * delay_seconds)), most)


class _Request(NamedTuple):
    length: int
    at: float
    received_bytes: int
    """What had come over the connection until then."""
    is_alone: bool
    """Whether nothing was under way when it was sent."""


class CopyWindows:
    """Those of all connections of one bootstrap, which share the bound. Each connection has at least one
    piece under way, even when the others have all of the bound."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.piece_bytes = min(PIECE_BYTES, bytes_max // 2)
        self._open: dict[object, CopyWindow] = {}

    def of(self, connection: object) -> CopyWindow:
        """A new one for a connection that has none."""
        window = self._open.get(connection)
        if window is None:
            window = self._open[connection] = CopyWindow(self)
        return window

    def release(self, connection: object) -> None:
        """The connection is gone; its share is for the others."""
        self._open.pop(connection, None)

    @property
    def under_way_bytes(self) -> int:
        return sum(window.under_way_bytes for window in self._open.values())

    @property
    def share_bytes(self) -> int:
        """Of the bound, for one connection."""
        return self.bytes_max // len(self._open)


class CopyWindow:
    """Of one connection, whose answers come in the order of the requests."""

    def __init__(self, windows: CopyWindows) -> None:
        self._windows = windows
        self._requests: deque[_Request] = deque()
        self._answered_bytes = 0
        """Of the oldest request."""
        self._received_bytes = 0
        self.under_way_bytes = 0
        self.delay_seconds: float | None = None
        self._measured_at = 0.0
        self._rates: tuple[float, float] = (0.0, 0.0)
        """The greatest of the present time and of the time before it."""
        self._rates_since: float | None = None

    @property
    def bytes_per_second(self) -> float | None:
        return max(self._rates) or None

    def bytes_max(self, now: float) -> int:
        """0 while the window closes to measure the delay."""
        delay = self.delay_seconds
        if delay is not None and now - self._measured_at > max(MEASURE_SECONDS, MEASURE_DELAYS * delay):
            return 0
        windows = self._windows
        return window_bytes(
            self.bytes_per_second,
            delay,
            least=PIECES_MIN * windows.piece_bytes,
            most=windows.share_bytes,
        )

    def admits(self, now: float) -> bool:
        """Whether one more piece may be asked for. Without one under way always: the copy would stop."""
        if not self._requests:
            return True
        windows, piece = self._windows, self._windows.piece_bytes
        return (
            len(self._requests) < PIECES_MAX
            and self.under_way_bytes + piece <= self.bytes_max(now)
            and windows.under_way_bytes + piece <= windows.bytes_max
        )

    def asked(self, length: int, now: float) -> None:
        self._requests.append(_Request(length, now, self._received_bytes, not self._requests))
        self.under_way_bytes += length

    def received(self, length: int, now: float) -> None:
        """Takes note of `length` bytes of the oldest request."""
        request = self._requests[0]
        self._received_bytes += length
        self.under_way_bytes -= length
        if not self._answered_bytes:
            self._measure(request, now)
        self._answered_bytes += length
        if self._answered_bytes == request.length:
            self._requests.popleft()
            self._answered_bytes = 0

    def _measure(self, request: _Request, now: float) -> None:
        passed = now - request.at
        if request.is_alone:
            self.delay_seconds, self._measured_at = passed, now
        elif self.delay_seconds is not None:
            self.delay_seconds = min(self.delay_seconds, passed)

        # A clock that stands still measures nothing. What was asked for before anything came knows only the
        # beginning of a window, which would close it.
        if passed <= 0 or not request.received_bytes:
            return
        rate = (self._received_bytes - request.received_bytes) / passed

        # At least a few delays, or a window that closed to measure would have forgotten its bandwidth.
        lasts = max(RATE_SECONDS, 4 * (self.delay_seconds or 0.0))
        if self._rates_since is None or now - self._rates_since > lasts:
            self._rates, self._rates_since = (0.0, self._rates[0]), now
        self._rates = (max(self._rates[0], rate), self._rates[1])
