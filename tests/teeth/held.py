"""Log and files that somebody holds: slots, leases, the archive, and their limits."""

from __future__ import annotations

from tests.teeth.mutation import Mutation

SLOTS = "tests/replication/primary/test_slots.py::"
STATES = "tests/replication/policy/test_slot_states.py::"

HELD = (
    # 15: slots
    Mutation(
        trap=15,
        name="a slot's cap is ignored",
        file="replicad/replication/policy/slot_states.py",
        old="    if held > limits.log_bytes_max:\n",
        new="    if False:\n",
        caught_by=(f"{STATES}test_a_slot_over_a_limit_lets_go_and_says_why",),
    ),
    Mutation(
        trap=15,
        name="the disk's floor is ignored",
        file="replicad/replication/policy/slot_states.py",
        old="    return over + _over_floor(within, log)\n",
        new="    return over\n",
        caught_by=(f"{STATES}test_a_slot_over_a_limit_lets_go_and_says_why",),
    ),
    Mutation(
        trap=15,
        name="a slot that let go holds on",
        file="replicad/replication/primary/slots.py",
        old="            if slot.invalid is None or slot.node_id in self._ending\n",
        new="            if True\n",
        caught_by=(f"{SLOTS}test_a_slot_over_its_cap_holds_nothing",),
    ),
    Mutation(
        trap=15,
        name="log goes while a session reads it",
        file="replicad/replication/primary/slots.py",
        old="            if slot.invalid is None or slot.node_id in self._ending\n",
        new="            if slot.invalid is None\n",
        caught_by=(f"{SLOTS}test_log_that_is_read_stays_until_the_session_ended",),
    ),
    Mutation(
        trap=15,
        name="a slot lets go in silence",
        file="replicad/replication/primary/slots.py",
        old="        self._unreported.append(invalid)\n",
        new="",
        caught_by=(f"{SLOTS}test_a_slot_over_its_cap_holds_nothing",),
    ),
    Mutation(
        trap=15,
        name="a slot that let go never holds again",
        file="replicad/replication/primary/slots.py",
        old="                if slot.invalid is not None and reads and there and within:\n",
        new="                if False:\n",
        caught_by=(f"{SLOTS}test_a_replica_that_caught_up_gets_its_slot_back",),
    ),
    Mutation(
        trap=15,
        name="the store does not ask the slots at a rotation",
        file="replicad/store/background/log_upkeep.py",
        old="    _enforce_holds(core, segments)\n",
        new="",
        caught_by=("tests/store/test_log_retention.py::test_holds_are_asked_before_log_goes",),
    ),
    Mutation(
        trap=15,
        name="a slot is forgotten over a restart",
        file="replicad/replication/primary/slots.py",
        old="        self._slots = {slot.node_id: slot for slot in stored}\n",
        new="        self._slots: dict[bytes, Slot] = {}\n",
        caught_by=("tests/replication/primary/test_slots.py::test_what_changed_is_saved_and_loaded",),
    ),
    Mutation(
        trap=15,
        name="a stream's slot is not saved",
        file="replicad/replication/primary/node.py",
        old="        self.slots.begin_reading(node_id)\n"
        "        await self._records.put_slot(slot)\n        if session.takes_written:",
        new="        self.slots.begin_reading(node_id)\n        if session.takes_written:",
        caught_by=("tests/replication/test_held_log.py::test_a_slot_follows_what_its_replica_holds_durably",),
    ),
    Mutation(
        trap=15,
        name="a bootstrap's slot is not saved",
        file="replicad/replication/primary/copying.py",
        old="        await self._records.put_slot(slot)\n\n        session.server",
        new="\n        session.server",
        caught_by=("tests/replication/test_held_log.py::test_log_is_held_from_before_a_copy_is_cut",),
    ),
    Mutation(
        trap=15,
        name="a slot that lets go ends no session",
        file="replicad/replication/primary/node.py",
        old="        for node_id, reason in await self.upkeep.tick():\n"
        "            self._end_session(node_id, reason)\n",
        new="        await self.upkeep.tick()\n",
        caught_by=("tests/replication/test_held_log.py::test_a_slot_that_lets_go_ends_its_session",),
    ),
    Mutation(
        trap=15,
        name="the slot of a copy that expired holds on",
        file="replicad/replication/primary/copying.py",
        old='            self._slots.invalidate(copy.node_id, "its bootstrap was given up: nobody '
        'read from the copy")\n',
        new="",
        caught_by=("tests/replication/test_held_log.py::test_the_slot_of_a_copy_that_expired_holds_nothing",),
    ),
    Mutation(
        trap=15,
        name="log that slots no longer need stays on an idle primary",
        file="replicad/replication/primary/slot_upkeep.py",
        old="            self._source.review_retention()\n",
        new="            pass\n",
        caught_by=("tests/replication/test_held_log.py::test_an_idle_primary_lets_go_of_what_no_slot_needs",),
    ),
    Mutation(
        trap=15,
        name="leases are not judged before log goes",
        file="replicad/store/background/log_upkeep.py",
        old="    core.leases.expire()\n",
        new="",
        caught_by=("tests/store/holds/test_leases.py::test_log_of_an_expired_lease_goes",),
    ),
    Mutation(
        trap=15,
        name="a node forgets its slots over a restart",
        file="replicad/daemon/data/node_data.py",
        old="        self.slots = Slots(records.state.view().slots, config.link.slot_limits)\n",
        new="        self.slots = Slots((), config.link.slot_limits)\n",
        caught_by=("tests/integration/test_slots.py::test_archived_log_is_tried_before_a_new_copy",),
    ),
    Mutation(
        trap=15,
        name="log goes that one of two needs",
        file="replicad/daemon/data/holds.py",
        old="        return min((sequence",
        new="        return max((sequence",
        caught_by=("tests/daemon/data/test_holds.py",),
    ),
)
