"""How the primary's log grew: samples over time, from which lag in seconds and the rate follow.

A replica at sequence number n is as many seconds behind as have passed since the primary went beyond n: it is
0 when there is nothing beyond n, however long ago the last write was, and it grows while a replica stands
still. Monotonic time only. Sampled about once a second; older samples get thinner, so that memory is bounded
and a replica that is hours behind is still told to within a minute or so.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

SAMPLES_MAX = 1024
RATE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Sample:
    at: float
    sequence: int
    log_bytes: int
    """Appended to the log since the node began to sample."""


class LogGrowth:
    """Owned by the event loop."""

    def __init__(self) -> None:
        self._samples: list[Sample] = []

    def note(self, at: float, sequence: int, log_bytes: int) -> None:
        """`log_bytes` is what was appended since the last call."""
        total = log_bytes + (self._samples[-1].log_bytes if self._samples else 0)
        self._samples.append(Sample(at, sequence, total))
        if len(self._samples) > SAMPLES_MAX:
            half = SAMPLES_MAX // 2
            self._samples = [*self._samples[:half:2], *self._samples[half:]]

    @property
    def last_sequence(self) -> int | None:
        return self._samples[-1].sequence if self._samples else None

    def seconds_behind(self, sequence: int, newest: int, now: float) -> float:
        """For a replica at `sequence` while the primary is at `newest`."""
        if sequence >= newest:
            return 0.0
        at = bisect_right(self._samples, sequence, key=lambda sample: sample.sequence)
        if at == len(self._samples):
            # What is missing was written after the last sample.
            return max(0.0, now - self._samples[-1].at) if self._samples else 0.0
        # Written between the sample before and this one: the earlier moment never says too little.
        return max(0.0, now - self._samples[max(at - 1, 0)].at)

    def bytes_per_second(self, now: float) -> float:
        """How fast the log grew over the last minute."""
        if not self._samples:
            return 0.0
        at = bisect_right(self._samples, now - RATE_SECONDS, key=lambda sample: sample.at)
        first, last = self._samples[min(at, len(self._samples) - 1)], self._samples[-1]
        seconds = now - first.at
        return (last.log_bytes - first.log_bytes) / seconds if seconds > 0 else 0.0
