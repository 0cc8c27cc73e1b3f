"""Rate, estimate and limit of a transfer."""

from __future__ import annotations

import asyncio

from replicad.replication.copy.throttle import Throttle
from replicad.replication.copy.transfer import Transfer
from tests.support.manual_clock import ManualClock


def test_rate_and_estimate_are_of_the_last_seconds() -> None:
    """A transfer that got slower says so; one that stands still has no estimate."""
    transfer = Transfer(10_000, 0.0)
    assert transfer.seconds_left(0.0) is None
    for second in range(1, 11):
        transfer.move(500, float(second))
    assert transfer.bytes_per_second(10.0) == 500.0
    assert transfer.seconds_left(10.0) == 10.0
    for second in range(11, 31):
        transfer.move(100, float(second))
    assert 95 < transfer.bytes_per_second(30.0) < 105
    assert transfer.bytes_per_second(60.0) < 10


async def test_a_throttle_lets_pass_what_its_rate_allows() -> None:
    """After each passage the next waits as long as the bytes before it take."""
    clock = ManualClock()
    throttle = Throttle(clock, 1000)
    await throttle.passage(500)
    assert throttle.delay() == 0.5
    clock.now += 0.25
    assert throttle.delay() == 0.25
    clock.now += 10.0
    await throttle.passage(900)
    assert throttle.delay() == 0.0, "a second's worth may go at once after a pause"
    await throttle.passage(600)
    assert throttle.delay() == 0.5


async def test_a_new_limit_counts_for_those_who_wait() -> None:
    """Lifting the limit lets go at once what would have waited for hours."""
    clock = ManualClock()
    throttle = Throttle(clock, 1)
    await throttle.passage(1_000_000)
    waiting = asyncio.create_task(throttle.passage(1))
    await asyncio.sleep(0)
    assert not waiting.done()
    throttle.set(0)
    await waiting
    assert throttle.delay() == 0.0
