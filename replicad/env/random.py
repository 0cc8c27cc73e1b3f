"""Randomness: ids and jitter come from here, so that a seed can replace it."""

from __future__ import annotations

import os
import random
from typing import Protocol


class Random(Protocol):
    def bytes(self, count: int) -> bytes:
        """`count` random bytes."""
        ...

    def uniform(self, low: float, high: float) -> float:
        """A float between the two."""
        ...


class SystemRandom:
    """The machine's randomness."""

    def bytes(self, count: int) -> bytes:
        return os.urandom(count)

    def uniform(self, low: float, high: float) -> float:
        return random.uniform(low, high)
