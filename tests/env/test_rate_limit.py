"""One rate for all who copy: what waits, and for how long."""

from __future__ import annotations

import asyncio

import pytest

from replicad.env import ThreadRateLimiter
from replicad.env.task_rate_limit import TaskRateLimiter
from tests.support.manual_clock import ManualClock


class Waiting:
    """Moves the clock each time that somebody waits, so that waiting costs no time."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.waits = 0

    def __call__(self) -> None:
        self.waits += 1
        self.clock.now += 0.0001


def test_threads_wait_for_the_bytes_before_theirs() -> None:
    """10,000 bytes at a million a second take 10 ms of the clock, and without a limit none."""
    clock = ManualClock()
    begun = clock.now
    waiting = Waiting(clock)
    limit = ThreadRateLimiter(clock, 1_000_000)
    for _ in range(10):
        limit.take(1000, waiting)
    assert clock.now - begun == pytest.approx(0.01, abs=0.0015)
    limit.bytes_per_second = None
    waits = waiting.waits
    limit.take(1_000_000, waiting)
    assert waiting.waits == waits


def test_a_new_rate_counts_for_threads_that_wait() -> None:
    """The next look at the rate finds that nothing is owed any more."""
    clock = ManualClock()
    limit = ThreadRateLimiter(clock, 1)

    def faster() -> None:
        limit.bytes_per_second = None

    limit.take(1_000_000, faster)
    assert limit.bytes_per_second is None


async def test_tasks_wait_for_the_bytes_before_theirs() -> None:
    """After each take the next waits as long as the bytes before it need."""
    clock = ManualClock()
    limit = TaskRateLimiter(clock, 1000)
    await limit.take(500)
    assert limit.delay() == 0.5
    clock.now += 0.25
    assert limit.delay() == 0.25
    clock.now += 10.0
    await limit.take(90)
    assert limit.delay() == 0.0, "a tenth of a second's worth may go at once after a pause"
    await limit.take(510)
    assert limit.delay() == 0.5


async def test_a_new_rate_counts_for_tasks_that_wait() -> None:
    """Lifting the limit lets go at once what would have waited for hours."""
    clock = ManualClock()
    limit = TaskRateLimiter(clock, 1)
    await limit.take(1_000_000)
    waiting = asyncio.create_task(limit.take(1))
    await asyncio.sleep(0)
    assert not waiting.done()
    limit.set_rate(None)
    await waiting
    assert limit.delay() == 0.0
