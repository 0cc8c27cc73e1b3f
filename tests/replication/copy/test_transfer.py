"""Rate and estimate of a transfer."""

from __future__ import annotations

from replicad.replication.copy.transfer import Transfer


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
