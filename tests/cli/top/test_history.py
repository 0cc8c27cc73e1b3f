"""The numbers that are kept of a node."""

from __future__ import annotations

from replicad.cli.top.history import READINGS_MAX, Reading, extended, rates, reading
from tests.cli.health.documents import document


def test_a_reading_has_what_is_drawn() -> None:
    """Of a replica; a primary has no lag, and a node that does not answer has nothing."""
    replica = reading(document("replica", {"applied_sequence": 40}), 7.0)
    assert replica == Reading(at_seconds=7.0, commands=100, sequence=40, lag_seconds=0.8, disk_bytes=3072)
    assert reading(document("primary"), 7.0).lag_seconds is None
    assert reading(None, 7.0) == Reading(at_seconds=7.0)
    assert reading({}, 7.0) == Reading(at_seconds=7.0)


def test_a_rate_counts_the_time_that_really_passed() -> None:
    """A node that was slow to answer does not look busier."""
    history = (Reading(at_seconds=0, commands=0), Reading(at_seconds=2, commands=100))
    assert rates(history, "commands") == [50.0]
    assert rates(history[:1], "commands") == []


def test_a_counter_that_begins_anew_has_no_rate() -> None:
    """The node was started again, or did not answer in between."""
    counts = [100, 200, 5, None, 10, 20]
    history = tuple(Reading(at_seconds=at, commands=count) for at, count in enumerate(counts))
    assert rates(history, "commands") == [100.0, None, None, None, 10.0]


def test_a_history_is_bounded() -> None:
    history: tuple[Reading, ...] = ()
    for second in range(READINGS_MAX + 5):
        history = extended(history, Reading(at_seconds=second))
    assert (len(history), history[0].at_seconds) == (READINGS_MAX, 5)
