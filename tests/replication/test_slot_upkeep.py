"""What happens to slots once a second."""

from __future__ import annotations

from replicad.env import Env
from replicad.replication.slot_states import SlotLimits
from replicad.replication.slot_upkeep import IDLE_STEP_SECONDS, SlotUpkeep
from replicad.replication.slots import Slots
from tests.support.fake_nodes import FakeRecords
from tests.support.fake_store import FakeStore
from tests.support.manual_clock import ManualClock

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
    upkeep = SlotUpkeep(Env(clock=clock), FakeStore(), slots, records)
    clock.wall *= 2
    await upkeep.tick()
    assert records.slots[NODE].idle_seconds == 0
    for _ in range(2):
        clock.now += IDLE_STEP_SECONDS
        await upkeep.tick()
    assert records.slots[NODE].idle_seconds == 2 * IDLE_STEP_SECONDS
    assert records.slots[NODE].invalid is not None
