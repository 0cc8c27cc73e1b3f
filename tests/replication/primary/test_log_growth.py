"""Lag in seconds and the rate of the log, from samples."""

from __future__ import annotations

import pytest

from replicad.replication.primary.log_growth import SAMPLES_MAX, LogGrowth


def course(*samples: tuple[float, int, int]) -> LogGrowth:
    made = LogGrowth()
    for at, sequence, grown in samples:
        made.note(at, sequence, grown)
    return made


WRITES = course((10.0, 100, 0), (11.0, 200, 1000), (12.0, 200, 0), (13.0, 300, 1000))


@pytest.mark.parametrize(
    ("sequence", "newest", "now", "expected"),
    [
        (300, 300, 99.0, 0.0),  # idle for long: nothing is missing
        (400, 300, 99.0, 0.0),
        (299, 300, 20.0, 8.0),  # written after 12.0
        (200, 300, 20.0, 8.0),
        (199, 300, 20.0, 10.0),  # written after 10.0
        (50, 300, 20.0, 10.0),  # from before the first sample
        (300, 301, 13.5, 0.5),  # written after the last sample
    ],
)
def test_seconds_behind_count_since_the_primary_went_beyond_the_replica(
    sequence: int, newest: int, now: float, expected: float
) -> None:
    """Since the primary went beyond the replica; never too little by more than a sample, and 0 when idle."""
    assert WRITES.seconds_behind(sequence, newest, now) == expected


def test_without_samples_nothing_is_claimed() -> None:
    """A node that has just started has no history to compare with."""
    assert LogGrowth().seconds_behind(1, 2, 5.0) == 0.0
    assert LogGrowth().bytes_per_second(5.0) == 0.0


def test_the_rate_is_that_of_the_last_minute() -> None:
    """Bytes of the log a second; growth of before the last minute does not count."""
    assert WRITES.bytes_per_second(20.0) == pytest.approx(200.0)
    made = course((0.0, 0, 0), (1.0, 1, 10**9), (50.0, 2, 100), (90.0, 3, 100))
    assert made.bytes_per_second(100.0) == pytest.approx(2.0)


def test_memory_is_bounded_and_the_past_gets_coarse() -> None:
    """After a day of samples the list is short, and a replica of the first minute is still told right."""
    made = LogGrowth()
    for second in range(86_400):
        made.note(float(second), second, 1)
    assert len(made._samples) <= SAMPLES_MAX
    assert made.seconds_behind(30, 86_399, 86_400.0) > 86_000
    assert made.seconds_behind(86_390, 86_399, 86_400.0) == pytest.approx(10, abs=2)
