"""Waiting for a condition instead of sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable

STEP_SECONDS_MAX = 1.0
"""More than that between two looks counts as so much: the whole machine may have stood still."""


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Returns when the condition holds; fails when it does not within `seconds`."""
    left, looked_at = seconds, time.monotonic()
    while not condition():
        assert left > 0, f"not true within {seconds} s"
        time.sleep(0.002)
        now = time.monotonic()
        left, looked_at = left - min(now - looked_at, STEP_SECONDS_MAX), now
