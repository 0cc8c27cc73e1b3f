"""Slows down who guesses: each wrong secret from an address makes the next answer to it come later."""

from __future__ import annotations

from collections import OrderedDict

FREE_ATTEMPTS = 3
FIRST_SECONDS = 0.1
SECONDS_MAX = 5.0
FORGET_SECONDS = 300.0
ADDRESSES_MAX = 4096
"""Who has more addresses than that is not slowed by this."""


class FailedAttempts:
    """By host. Belongs to the event loop."""

    def __init__(self) -> None:
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def failed(self, host: str, now: float) -> float:
        """Counts one; for how many seconds its answer is held back."""
        count, at = self._failed.pop(host, (0, now))
        count = 1 if now - at > FORGET_SECONDS else count + 1
        self._failed[host] = count, now
        if len(self._failed) > ADDRESSES_MAX:
            self._failed.popitem(last=False)
        if count <= FREE_ATTEMPTS:
            return 0.0
        return min(FIRST_SECONDS * 2.0 ** min(count - FREE_ATTEMPTS - 1, 10), SECONDS_MAX)

    def succeeded(self, host: str) -> None:
        self._failed.pop(host, None)
