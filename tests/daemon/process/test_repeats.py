"""Lines of one event are limited; none is lost without being counted, and none that matters at all."""

from __future__ import annotations

from replicad.daemon.process.repeats import BURST, EVENTS_MAX, PER_SECOND, SELDOM_SECONDS, Repeats


def test_a_burst_and_then_a_few_with_how_many_were_left_out() -> None:
    """Every line is written or counted in one that is."""
    repeats = Repeats()
    told = [repeats.admit("warning", "net.tls_refused", 100.0) for _ in range(BURST + 1000)]
    assert told == [0] * BURST + [None] * 1000
    assert repeats.admit("warning", "net.tls_refused", 100.0 + 1 / PER_SECOND) == 1000
    assert repeats.admit("warning", "net.tls_refused", 100.0 + 1 / PER_SECOND) is None


def test_other_events_and_errors_are_written() -> None:
    repeats = Repeats()
    for _ in range(BURST + 10):
        repeats.admit("info", "one", 1.0)
        assert repeats.admit("error", "two", 1.0) == 0
        assert repeats.admit("critical", "one", 1.0) == 0
    assert repeats.admit("info", "three", 1.0) == 0


def test_after_a_while_it_may_burst_again() -> None:
    repeats = Repeats()
    for _ in range(BURST):
        repeats.admit("info", "one", 0.0)
    later = BURST / PER_SECOND
    assert [repeats.admit("info", "one", later) for _ in range(BURST + 1)] == [0] * BURST + [None]


def test_names_that_are_never_the_same_take_no_memory() -> None:
    repeats = Repeats()
    for number in range(10 * EVENTS_MAX):
        assert repeats.admit("info", f"event {number}", 0.0) == 0
    assert len(repeats._left) <= EVENTS_MAX


def test_what_a_full_disk_prevents_each_second_is_said_once_in_a_while() -> None:
    """The event of the full disk itself says what to do."""
    repeats = Repeats()
    told = [repeats.admit("warning", "state.not_saved", float(second)) for second in range(500)]
    assert told == [0] + [None] * 499
    assert repeats.admit("warning", "state.not_saved", SELDOM_SECONDS) == 499
