"""Slots: what they keep, how they move, when they end."""

from __future__ import annotations

import pytest

from replicad.replication.slots import Slots, log_bytes_after
from replicad.state.records import Slot
from tests.support.fake_store import FakeLogFile

A, B = b"a" * 16, b"b" * 16
FILES = [FakeLogFile(1, 100, 1000), FakeLogFile(101, 200, 1000), FakeLogFile(201, 300, 1000)]


def test_the_slowest_slot_decides() -> None:
    """The log is kept from the lowest slot on; nobody's slot keeps nothing."""
    slots = Slots([], 10_000)
    assert slots.oldest_needed() is None
    slots.hold(A, 50, 1)
    slots.hold(B, 20, 1)
    assert slots.oldest_needed() == 21
    slots.advance(B, 70, 2)
    assert slots.oldest_needed() == 51
    slots.drop(A)
    assert slots.oldest_needed() == 71


def test_an_acknowledgement_never_moves_a_slot_back() -> None:
    """Only `hold` may set a slot to an earlier sequence number."""
    slots = Slots([], 10_000)
    slots.hold(A, 50, 1)
    slots.advance(A, 40, 2)
    assert slots.oldest_needed() == 51
    slots.hold(A, 10, 3)
    assert slots.oldest_needed() == 11


def test_a_slot_over_its_cap_holds_nothing_until_it_is_held_again() -> None:
    """The cap invalidates with a reason; the replica's next stream makes the slot valid again."""
    slots = Slots([], 1500)
    slots.hold(A, 0, 1)
    slots.hold(B, 250, 1)
    (over,) = slots.enforce(FILES, 300)
    assert over.node_id == A
    assert over.invalid is not None and "1500" in over.invalid
    assert slots.oldest_needed() == 251
    slots.advance(A, 60, 2)
    assert slots.oldest_needed() == 251
    slots.hold(A, 200, 3)
    assert slots.oldest_needed() == 201
    assert slots.enforce(FILES, 300) == []


def test_what_changed_is_saved_and_loaded() -> None:
    """A change stays to be saved until it was, and a saved slot holds again after a restart."""
    slots = Slots([Slot(node_id=A, sequence=5, seen_us=1)], 10_000)
    assert slots.oldest_needed() == 6
    assert slots.unsaved() == []
    held = slots.hold(B, 7, 2)
    slots.drop(A)
    assert sorted(slots.unsaved()) == [(A, None), (B, held)]
    slots.saved(A, None)
    slots.advance(B, 8, 3)
    slots.saved(B, held)
    assert slots.unsaved() == [(B, Slot(node_id=B, sequence=8, seen_us=3))]


@pytest.mark.parametrize(
    ("sequence", "expected"), [(0, 3000), (100, 2000), (150, 1500), (200, 1000), (300, 0), (999, 0)]
)
def test_log_bytes_after(sequence: int, expected: int) -> None:
    """Whole segments count whole, the one that holds the sequence number in proportion."""
    assert log_bytes_after(FILES, sequence, 300) == expected
