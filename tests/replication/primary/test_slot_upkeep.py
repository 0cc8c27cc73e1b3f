"""What happens to slots once a second."""

from __future__ import annotations

import pytest

from replicad.env import Env
from replicad.errors import DiskFullError
from replicad.replication.policy.slot_states import SlotLimits
from replicad.replication.primary.slot_upkeep import IDLE_STEP_SECONDS, SlotUpkeep
from replicad.replication.primary.slots import Slots
from replicad.state.records import Slot
from tests.support.manual_clock import ManualClock
from tests.support.replication.fake_nodes import FakeRecords
from tests.support.replication.fake_store import FakeStore

NODE = b"n" * 16


async def test_absence_is_counted_by_no_wall_clock() -> None:
    """A wall clock that jumps by years costs no slot; the seconds that the node runs count."""
    clock, slots, records = (
        ManualClock(),
        Slots([], SlotLimits(log_bytes_max=1, idle_seconds_max=90)),
        FakeRecords(),
    )
    slots.hold(NODE, 0, 1)
    clock.wall = 1_700_000_000_000_000
    upkeep = SlotUpkeep(Env(clock=clock), FakeStore().as_database(), slots, records)
    clock.wall *= 2
    await upkeep.tick()
    assert records.slots[NODE].idle_seconds == 0
    for _ in range(2):
        clock.now += IDLE_STEP_SECONDS
        await upkeep.tick()
    assert records.slots[NODE].idle_seconds == 2 * IDLE_STEP_SECONDS
    assert records.slots[NODE].invalid is not None


async def test_a_slot_lets_go_also_while_nothing_can_be_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk, above all, its session ends and the log goes; what was not saved is saved later."""
    slots, store, records = Slots([], SlotLimits(log_bytes_max=1 << 30)), FakeStore(), FakeRecords()
    slots.hold(NODE, 0, 1)
    slots.begin_reading(NODE)
    upkeep = SlotUpkeep(Env(), store.as_database(), slots, records)

    async def no_room(slot: Slot) -> None:
        raise DiskFullError("no room")

    with monkeypatch.context() as full:
        full.setattr(records, "put_slot", no_room)
        slots.invalidate(NODE, "the disk is full")
        assert await upkeep.tick() == [(NODE, "the disk is full")]
        slots.end_reading(NODE)
        await upkeep.tick()
        assert store.reviews == 1
        assert records.slots == {}
    await upkeep.tick()
    assert records.slots[NODE].invalid == "the disk is full"
