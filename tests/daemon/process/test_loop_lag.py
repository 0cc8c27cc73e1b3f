"""How late the event loop is, as quantiles of a window that moves."""

from __future__ import annotations

import asyncio
import time

import pytest

from replicad.daemon.process.loop_lag import WINDOW_TICKS, LoopLag
from replicad.env.clock import SystemClock
from tests.support.waiting import until


@pytest.mark.parametrize(
    ("ticks", "expected"),
    [
        # (how many, how late), and p50, p99, p99.9 and the longest in milliseconds.
        ([], (0, 0, 0, 0)),
        ([(1, 0)], (0, 0, 0, 0)),
        ([(1, 7)], (7, 7, 7, 7)),
        ([(500, 1), (499, 1), (1, 40)], (1, 1, 1, 40)),
        ([(998, 1), (2, 40)], (1, 1, 40, 40)),
        ([(985, 2), (13, 8), (2, 50)], (2, 8, 50, 50)),
        ([(1, 60_000)], (60_000, 60_000, 60_000, 60_000)),
        # The window moves: what was long ago is forgotten, what was just now is not.
        ([(1, 100), (WINDOW_TICKS, 1)], (1, 1, 1, 100)),
        ([(1, 100), (2 * WINDOW_TICKS, 1)], (1, 1, 1, 1)),
    ],
)
def test_quantiles_of_the_last_ticks(ticks: list[tuple[int, int]], expected: tuple[int, ...]) -> None:
    """A quantile is the upper end of its bucket: never less than it is, and at most a fifth more."""
    lag = LoopLag(SystemClock())
    for count, milliseconds in ticks:
        for _ in range(count):
            lag.ticked(milliseconds / 1000)
    found = lag.document()
    assert list(found) == ["lag_p50_seconds", "lag_p99_seconds", "lag_p999_seconds", "lag_max_seconds"]
    for seconds, milliseconds in zip(found.values(), expected, strict=True):
        assert milliseconds / 1000 <= seconds <= milliseconds / 1000 * 1.2


async def test_a_call_that_blocks_the_loop_is_seen() -> None:
    """For a timer that is due meanwhile the loop is late by what is left of the call."""
    lag = LoopLag(SystemClock())
    running = asyncio.create_task(lag.run())
    try:
        await asyncio.sleep(0)
        _block(0.05)
        await until(lambda: lag.document()["lag_max_seconds"] >= 0.025)
    finally:
        running.cancel()


def _block(seconds: float) -> None:
    """A call that keeps the loop."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
