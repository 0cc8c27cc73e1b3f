"""Slots: what they keep, how they move, when they end."""

from __future__ import annotations

from replicad.replication.policy.slot_states import LogFacts, SlotLimits
from replicad.replication.primary.slots import Slots
from replicad.state.records import Slot
from tests.support.replication.fake_store import log_file

A, B = b"a" * 16, b"b" * 16
FILES = [log_file(1, 100, 1000), log_file(101, 200, 1000), log_file(201, 300, 1000)]
LOG = LogFacts(files=FILES, newest=300, flushed=300)
WIDE = SlotLimits(log_bytes_max=10_000)


def test_the_slowest_slot_decides() -> None:
    """The log is kept from the lowest slot on; nobody's slot keeps nothing."""
    slots = Slots([], WIDE)
    assert slots.oldest_needed() is None
    slots.hold(A, 50, 1)
    slots.hold(B, 20, 1)
    assert slots.oldest_needed() == 21
    slots.advance(B, 70, 2)
    assert slots.oldest_needed() == 51
    assert slots.drop(A)
    assert not slots.drop(A)
    assert slots.oldest_needed() == 71


def test_an_acknowledgement_never_moves_a_slot_back() -> None:
    """Only `hold` may set a slot to an earlier sequence number."""
    slots = Slots([], WIDE)
    slots.hold(A, 50, 1)
    slots.advance(A, 40, 2)
    assert slots.oldest_needed() == 51
    slots.hold(A, 10, 3)
    assert slots.oldest_needed() == 11


def test_a_slot_over_its_cap_holds_nothing() -> None:
    """It lets go with the reason, once; a stream that begins over the cap does not hold either."""
    slots = Slots([], SlotLimits(log_bytes_max=1500))
    slots.hold(A, 0, 1)
    slots.hold(B, 250, 1)
    slots.enforce(FILES, 300, 300, 0)
    (over,) = slots.unreported()
    assert over.node_id == A
    assert over.invalid is not None and "1500" in over.invalid
    assert slots.oldest_needed() == 251
    slots.enforce(FILES, 300, 300, 0)
    assert slots.unreported() == []
    assert slots.hold(A, 60, 3, log=LOG).invalid is not None
    assert slots.oldest_needed() == 251
    assert slots.hold(A, 200, 3, log=LOG).invalid is None
    assert slots.oldest_needed() == 201


def test_log_that_is_read_stays_until_the_session_ended() -> None:
    """A slot that lets go while a session reads names the session to end; its log may go only then."""
    slots = Slots([], SlotLimits(log_bytes_max=1500))
    slots.hold(A, 0, 1)
    slots.begin_reading(A)
    slots.enforce(FILES, 300, 300, 0)
    ((node_id, reason),) = slots.to_end()
    assert (node_id, "the cap is 1500" in reason) == (A, True)
    assert slots.oldest_needed() == 1
    slots.end_reading(A)
    assert slots.oldest_needed() is None
    assert slots.to_end() == []


def test_a_replica_that_caught_up_gets_its_slot_back() -> None:
    """Within its cap again, and with its log still there, an unreserved slot holds again."""
    slots = Slots([], SlotLimits(log_bytes_max=1500))
    slots.hold(A, 0, 1, log=LOG)
    slots.begin_reading(A)
    slots.advance(A, 100, 2)
    slots.readmit(LOG)
    assert slots.oldest_needed() is None
    slots.advance(A, 200, 2)
    slots.readmit(LOG)
    assert slots.oldest_needed() == 201


def test_only_replicas_that_are_away_get_older() -> None:
    """Idle time passes for slots that nobody reads for, and an acknowledgement ends it."""
    slots = Slots([], SlotLimits(log_bytes_max=10_000, idle_seconds_max=100))
    slots.hold(A, 300, 1)
    slots.hold(B, 300, 1)
    slots.begin_reading(B)
    slots.pass_time(60)
    slots.pass_time(60)
    slots.enforce(FILES, 300, 300, 0)
    (over,) = slots.unreported()
    assert (over.node_id, over.idle_seconds) == (A, 120)
    slots.advance(A, 300, 2)
    found = slots.get(A)
    assert found is not None and found.idle_seconds == 0


def test_what_changed_is_saved_and_loaded() -> None:
    """A change stays to be saved until it was, and a saved slot holds again after a restart."""
    slots = Slots([Slot(node_id=A, sequence=5, seen_us=1)], WIDE)
    assert slots.oldest_needed() == 6
    assert slots.unsaved() == []
    held = slots.hold(B, 7, 2)
    slots.drop(A)
    assert sorted(slots.unsaved(), key=lambda entry: entry[0]) == [(A, None), (B, held)]
    slots.saved(A, None)
    slots.advance(B, 8, 3)
    slots.saved(B, held)
    assert slots.unsaved() == [(B, Slot(node_id=B, sequence=8, seen_us=3))]


def test_no_slot_begins_after_the_end_of_the_log() -> None:
    """A loss of power took what a replica had acknowledged: it will need what comes in its place."""
    slots = Slots([], WIDE)
    slots.hold(A, 90, 0)
    slots.hold(B, 70, 0)
    slots.clamp(80)
    assert [slot.sequence for slot in slots.all()] == [80, 70]
    assert slots.oldest_needed() == 71
    assert dict(slots.unsaved()).keys() == {A, B}
