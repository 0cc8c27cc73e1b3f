"""Which deletions may be forgotten."""

from __future__ import annotations

from replicad.replication.links.records import GONE_US, KeyStamp, OriginRecord
from replicad.replication.links.stability import is_forgotten, seen_through_us, stable_through_us
from replicad.replication.links.stamps import Stamp

OWN, A, B = b"o" * 16, b"a" * 16, b"b" * 16


def test_all_others_have_to_be_beyond_a_time() -> None:
    """One that was never heard of holds everything; the primary's own clock says nothing."""
    far, near = OriginRecord(1, 2, 9, 9), OriginRecord(1, 2, 5, 9)
    assert stable_through_us({OWN: OriginRecord(0, 0, 100), A: far, B: near}, OWN) == 5
    assert stable_through_us({OWN: OriginRecord(0, 0, 100), A: far, B: OriginRecord()}, OWN) == 0
    assert stable_through_us({OWN: OriginRecord(0, 0, 100)}, OWN) == 0


def test_only_stamps_of_deletes_go() -> None:
    """Seeds are compared with those of keys that are there."""
    assert is_forgotten(KeyStamp(Stamp(5, A), True), 5)
    assert not is_forgotten(KeyStamp(Stamp(6, A), True), 5)
    assert not is_forgotten(KeyStamp(Stamp(5, A), False), 5)


def test_all_others_have_to_have_seen_it() -> None:
    """Who has not would not be told of the deletion by a seed."""
    behind = OriginRecord(1, 2, 9, seen_us=3)
    assert stable_through_us({A: behind, B: OriginRecord(1, 2, 5, 5)}, OWN) == 3
    assert seen_through_us({OWN: OriginRecord(0, 0, 1, 1), A: behind, B: OriginRecord(1, 2, 5, 0)}, OWN) == 5
    assert seen_through_us({}, OWN) == 0


def test_who_is_silent_is_not_waited_for() -> None:
    """Whoever was never heard of is."""
    silent, heard = OriginRecord(1, 2, 4, 3), OriginRecord(1, 2, 9, 3)
    assert stable_through_us({A: silent, B: heard}, OWN, silent_us=6) == 6
    assert stable_through_us({A: OriginRecord(), B: heard}, OWN, silent_us=6) == 0


def test_who_is_gone_is_not_waited_for() -> None:
    """What it wrote stays known as seen."""
    gone, heard = OriginRecord(1, 2, 4, GONE_US), OriginRecord(1, 2, 9, 8)
    assert stable_through_us({A: gone, B: heard}, OWN) == 8
    assert seen_through_us({A: gone, B: heard}, OWN) == 9
    assert stable_through_us({A: gone}, OWN) == 0
