"""The change feed: what is acknowledged, what may be forgotten, what does not follow."""

from __future__ import annotations

from tests.teeth.mutation import Mutation

SLOTS = "tests/replication/primary/test_feed_slots.py::"
FOLLOW = "tests/feed/test_follow.py::"
FRAMES = "tests/feed/test_frames.py::"
ACKNOWLEDGEMENTS = "tests/feed/test_acknowledgements.py::"

FEED = (
    Mutation(
        trap=11,
        name="a feed takes frames that do not follow",
        file="replicad/feed/frames.py",
        old="        raise _why_unchained(frames[scan.end :], scan, after)\n",
        new="        return updates_of(frames)\n",
        caught_by=(f"{FRAMES}test_a_gap_is_an_error", f"{FRAMES}test_another_history_is_an_error"),
    ),
    Mutation(
        trap=11,
        name="the slot of a feed that was away long is forgotten",
        file="replicad/replication/policy/slot_states.py",
        old="        if not slot.is_feed\n        and slot.node_id not in connected\n",
        new="        if slot.node_id not in connected\n",
        caught_by=(f"{SLOTS}test_no_slot_of_a_feed_is_ever_forgotten",),
    ),
    Mutation(
        trap=11,
        name="a feed acknowledges what comes after an update that its program still has",
        file="replicad/feed/acknowledgements.py",
        old="        if self._is_done(self._given):\n            self._move(position)\n\n",
        new="        self._move(position)\n\n",
        caught_by=(f"{ACKNOWLEDGEMENTS}test_what_was_filtered_out_goes_with_the_update_before_it",),
    ),
    Mutation(
        trap=11,
        name="a feed goes on at a node without asking whether its position is there",
        file="replicad/feed/follow.py",
        old='                await connection.call("REPLICAD.WAITPOS", str(self._after), 1)\n',
        new="                pass\n",
        caught_by=(f"{FOLLOW}test_a_position_ahead_of_another_history_is_refused",),
    ),
    Mutation(
        trap=16,
        name="a slot moves to any position that its reader says",
        file="replicad/replication/primary/feed_slots.py",
        old="            await in_thread(self._check_history, position)\n",
        new="",
        caught_by=(f"{SLOTS}test_an_acknowledgement_names_this_history",),
    ),
    Mutation(
        trap=11,
        name="a new replica takes the slot of the feed that has its name",
        file="replicad/replication/primary/node.py",
        old="            if slot.is_feed or slot.name != name:\n",
        new="            if slot.name != name:\n",
        caught_by=(
            "tests/replication/test_held_log.py::test_the_slot_of_a_feed_is_not_that_of_a_replica_of_its_name",
        ),
    ),
    Mutation(
        trap=15,
        name="the log of a feed waits for its reader although the slot let go",
        file="replicad/replication/primary/slots.py",
        old="        if slot.node_id in self._reading and not slot.is_feed:\n",
        new="        if slot.node_id in self._reading:\n",
        caught_by=(f"{SLOTS}test_the_log_of_a_feed_does_not_wait_for_its_reader",),
    ),
)
