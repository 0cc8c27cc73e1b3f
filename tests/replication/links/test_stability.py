"""Which deletions may be forgotten."""

from __future__ import annotations

from replicad.replication.links.records import KeyStamp, OriginRecord
from replicad.replication.links.stability import is_forgotten, stable_through_us
from replicad.replication.links.stamps import Stamp

OWN, A, B = b"o" * 16, b"a" * 16, b"b" * 16


def test_all_others_have_to_be_beyond_a_time() -> None:
    """One that was never heard of holds everything; the primary's own clock says nothing."""
    far, near = OriginRecord(1, 2, 9), OriginRecord(1, 2, 5)
    assert stable_through_us({OWN: OriginRecord(0, 0, 100), A: far, B: near}, OWN) == 5
    assert stable_through_us({OWN: OriginRecord(0, 0, 100), A: far, B: OriginRecord()}, OWN) == 0
    assert stable_through_us({OWN: OriginRecord(0, 0, 100)}, OWN) == 0


def test_only_stamps_of_deletes_go() -> None:
    """Seeds are compared with those of keys that are there."""
    assert is_forgotten(KeyStamp(Stamp(5, A), True), 5)
    assert not is_forgotten(KeyStamp(Stamp(6, A), True), 5)
    assert not is_forgotten(KeyStamp(Stamp(5, A), False), 5)
