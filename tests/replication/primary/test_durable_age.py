"""How long ago a primary surely had nothing that is not durable."""

from __future__ import annotations

from replicad.replication.primary.durable_age import DurableAge
from tests.support.manual_clock import ManualClock
from tests.support.replication.fake_store import FakeStore


def aged(*, auto_sync: bool) -> tuple[ManualClock, FakeStore, DurableAge]:
    clock, store = ManualClock(), FakeStore(auto_sync=auto_sync)
    return clock, store, DurableAge(clock, store.as_database())


def test_what_is_durable_before_it_is_shown_is_never_old() -> None:
    """Whenever it is asked, and however long nothing was written."""
    clock, store, age = aged(auto_sync=True)
    for _ in range(3):
        assert age.seconds() == 0.0
        clock.now += 100
        store.write(b"v")


def test_what_is_shown_before_it_is_durable_makes_it_older() -> None:
    """From when it was asked last, until all of it is durable."""
    clock, store, age = aged(auto_sync=False)
    clock.now += 100
    assert age.seconds() == 0.0
    clock.now += 1
    store.write(b"v")
    clock.now += 4
    assert age.seconds() == 5.0
    store.sync()
    assert age.seconds() == 0.0


def test_a_store_that_always_writes_is_as_old_as_its_syncs_are_long() -> None:
    """A sync makes durable what was shown when it began; there is more by its end, every time."""
    clock, store, age = aged(auto_sync=False)
    for _ in range(10):
        store.write(b"v")
        begun = store.position
        clock.now += 1
        store.write(b"v")
        clock.now += 1
        store.durable_position = begun
        store.notify()
        seconds = age.seconds()
        assert seconds is not None and 0 < seconds <= 4


def test_an_age_that_was_never_known_is_none() -> None:
    """What was there before it was looked at is not durable yet."""
    store = FakeStore(auto_sync=False)
    store.write(b"v")
    age = DurableAge(ManualClock(), store.as_database())
    assert age.seconds() is None
    store.sync()
    assert age.seconds() == 0.0
