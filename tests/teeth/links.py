"""Links between primaries: each batch once, the newest write everywhere, no deleted key comes back."""

from __future__ import annotations

from tests.teeth.mutation import Mutation

MERGE = "tests/replication/links/test_merge.py::"
MODEL = "tests/replication/links/test_model.py::"
MERGE_FILE = "replicad/replication/links/merge.py"
BATCHES_FILE = "replicad/replication/links/batches.py"

LINKS = (
    Mutation(
        trap=31,
        name="the place of an origin is not in the batch of its data",
        file=BATCHES_FILE,
        old="    return [*merged(applied.won, family_id), place, *map(introduced, new_members)]\n",
        new="    return [*merged(applied.won, family_id), *map(introduced, new_members)]\n",
        caught_by=(f"{MODEL}test_all_sites_end_with_the_newest_writes",),
    ),
    Mutation(
        trap=31,
        name="what came by another way is applied again",
        file=MERGE_FILE,
        old="    if (came.epoch, came.last) <= (known.epoch, known.sequence):\n        return None\n",
        new="",
        caught_by=(f"{MERGE}test_what_was_seen_is_dropped",),
    ),
    Mutation(
        trap=31,
        name="a batch that comes home is applied",
        file=MERGE_FILE,
        old="    if came.origin == own:\n        return None\n",
        new="",
        caught_by=(f"{MERGE}test_what_was_seen_is_dropped",),
    ),
    Mutation(
        trap=31,
        name="hops are not counted",
        file=BATCHES_FILE,
        old="hops=provenance.hops + 1)",
        new="hops=provenance.hops)",
        caught_by=(
            "tests/replication/links/test_batches.py::test_what_is_shipped_further_came_over_one_more_link",
        ),
    ),
    Mutation(
        trap=31,
        name="any number of hops is taken",
        file=MERGE_FILE,
        old="    if came.hops > HOPS_MAX:\n",
        new="    if False and came.hops > HOPS_MAX:\n",
        caught_by=(f"{MERGE}test_what_breaks_a_link_is_said",),
    ),
    Mutation(
        trap=31,
        name="the older write wins",
        file=MERGE_FILE,
        old="        return operation.stamp > here.stamp.stamp\n",
        new="        return operation.stamp < here.stamp.stamp\n",
        caught_by=(f"{MERGE}test_which_write_stays",),
    ),
    Mutation(
        trap=31,
        name="of the same time whatever comes last wins",
        file=MERGE_FILE,
        old="        return operation.stamp > here.stamp.stamp\n",
        new="        return operation.stamp.time_us >= here.stamp.stamp.time_us\n",
        caught_by=(f"{MERGE}test_which_write_stays",),
    ),
    Mutation(
        trap=31,
        name="a deleted key takes whatever comes once its stamp is gone",
        file=MERGE_FILE,
        old="        return here.value is not None or operation.stamp.time_us > horizon_us\n",
        new="        return True\n",
        caught_by=(f"{MERGE}test_which_write_stays",),
    ),
    Mutation(
        trap=31,
        name="a stamp of a delete goes before all have been heard of",
        file="replicad/replication/links/stability.py",
        old="    return min(others, default=0)\n",
        new="    return max(others, default=0)\n",
        caught_by=("tests/replication/links/test_stability.py::test_all_others_have_to_be_beyond_a_time",),
    ),
    Mutation(
        trap=31,
        name="a delete leaves no stamp",
        file=BATCHES_FILE,
        old="        if each.family in linked\n",
        new="        if each.family in linked and each.value is not None\n",
        caught_by=(f"{MODEL}test_all_sites_end_with_the_newest_writes",),
    ),
    Mutation(
        trap=31,
        name="batches that did not come are not missed",
        file=MERGE_FILE,
        old="    if came.first > known.sequence + 1:\n",
        new="    if False and came.first > known.sequence + 1:\n",
        caught_by=(f"{MERGE}test_what_breaks_a_link_is_said",),
    ),
    Mutation(
        trap=31,
        name="an origin may lose what is here",
        file=MERGE_FILE,
        old="    if came.epoch > known.epoch and came.fork < known.sequence:\n",
        new="    if False and came.epoch > known.epoch and came.fork < known.sequence:\n",
        caught_by=(f"{MODEL}test_an_origin_that_lost_what_is_here_stops_the_link",),
        hangs=True,
    ),
    Mutation(
        trap=31,
        name="a clock that is far ahead is believed",
        file=MERGE_FILE,
        old="    if newest_us > now_us + AHEAD_US_MAX:\n",
        new="    if False and newest_us > now_us + AHEAD_US_MAX:\n",
        caught_by=(f"{MERGE}test_what_breaks_a_link_is_said",),
    ),
    Mutation(
        trap=31,
        name="the clock does not follow what it sees",
        file="replicad/replication/links/stamps.py",
        old="        self.last_us = max(self.last_us, time_us)\n",
        new="        pass\n",
        caught_by=(f"{MERGE}test_the_clock_never_stands_still_and_follows_what_it_sees",),
    ),
    Mutation(
        trap=31,
        name="the clock of a new process begins at the wall clock",
        file="replicad/server/linked_data.py",
        old="        self._clock = HybridClock(self.origin(self.own).frontier_us)\n",
        new="        self._clock = HybridClock()\n",
        caught_by=("tests/server/test_linked_data.py::test_the_clock_goes_on_in_a_new_process",),
    ),
    Mutation(
        trap=31,
        name="a new member is not told to the others",
        file=BATCHES_FILE,
        old="            members=tuple(records.keys() - {self._own, provenance.origin}),\n",
        new="            members=(),\n",
        caught_by=(
            "tests/replication/links/test_batches.py::test_a_member_is_told_to_those_who_read_further",
        ),
    ),
    Mutation(
        trap=31,
        name="what a newcomer holds alone stays with it",
        file="replicad/server/linked_data.py",
        old="            self._stamp_alone(family, keys, {each.key for each in part})\n",
        new="            pass\n",
        caught_by=("tests/server/test_linked_data.py::test_what_a_newcomer_holds_alone_is_new_to_all",),
    ),
    Mutation(
        trap=31,
        name="the kernel writes to linked families without stamps",
        file="replicad/server/server.py",
        old="            writes = paused is Paused.NOTHING and not state.linked.families\n",
        new="            writes = paused is Paused.NOTHING\n",
        caught_by=("tests/server/test_linked_data.py::test_every_write_of_a_client_has_its_stamp",),
    ),
    Mutation(
        trap=31,
        name="a link writes between the pieces of a command",
        file="replicad/server/linked_data.py",
        old="node.holds_writes() or self.stands_still() or",
        new="node.holds_writes() or",
        caught_by=("tests/server/test_linked_data.py::test_a_link_waits_for_a_command_in_pieces",),
    ),
)
