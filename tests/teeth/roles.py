"""Who takes writes: promotions, demotions, fencing, switchovers, and what of it is remembered."""

from __future__ import annotations

from tests.teeth.mutation import Mutation

ROLES = (
    # 5: two stores cannot commit together
    Mutation(
        trap=5,
        name="log that does not join the manifest is replayed",
        file="replicad/store/wal/recovery.py",
        old="        if found != self.position:\n",
        new="        if False:\n",
        caught_by=("tests/store/test_torn_segments.py::test_log_of_another_history_is_refused",),
    ),
    Mutation(
        trap=5,
        name="a manifest is replayed without its log",
        file="replicad/store/open/opening.py",
        old="    recovered = replay_into(core, segments, passed_over, flush_when_full,",
        new="    recovered = replay_into(core, [], passed_over, flush_when_full,",
        caught_by=("tests/store/test_recovery.py::test_kill_at_any_moment",),
    ),
    Mutation(
        trap=5,
        name="a promotion does not record its epoch in the manifest",
        file="replicad/store/roles.py",
        old="epochs=(*epochs, record)))\n",
        new="epochs=epochs))\n",
        caught_by=("tests/store/test_roles.py::test_a_crash_before_the_epoch_is_in_the_log_leaves_it_begun",),
    ),
    Mutation(
        trap=5,
        name="a promotion that a crash cut short is not finished",
        file="replicad/store/roles.py",
        old="    if not pending:\n        return\n",
        new="    if True:\n        return\n",
        caught_by=(
            "tests/store/test_roles.py::test_a_crash_between_manifest_and_log_is_finished_by_opening",
        ),
    ),
    Mutation(
        trap=5,
        name="a replica does not record the epochs that it applies",
        file="replicad/store/write/control.py",
        old="            core.record(Edit(epochs=epochs))\n",
        new="            core.state = core.state.apply(Edit(epochs=epochs))\n",
        caught_by=("tests/store/test_roles.py::test_an_applied_epoch_is_known_after_its_log_is_in_tables",),
    ),
    Mutation(
        trap=5,
        name="the node's record counts for more than its data",
        file="replicad/replication/policy/roles.py",
        old="    if stored is not None and stored.epoch > record.epoch:\n",
        new="    if False:\n",
        caught_by=("tests/replication/policy/test_roles.py::test_what_a_node_begins_as",),
    ),
    # 9: acknowledged and shipped is only what is durable
    Mutation(
        trap=9,
        name="a promotion does not wait for the record of its epoch",
        file="replicad/store/roles.py",
        old="            writes.syncer.sync_through(writes.control.begin_epoch(record))\n        except Disk",
        new="            writes.control.begin_epoch(record)\n        except Disk",
        caught_by=("tests/store/test_roles.py::test_a_promoted_replica_takes_writes_in_a_new_epoch",),
    ),
    Mutation(
        trap=9,
        name="a demoted node goes on writing",
        file="replicad/store/write/gate.py",
        old='role == "owner" and not self.ending\n',
        new="True\n",
        caught_by=("tests/store/test_roles.py::test_a_demoted_owner_follows_the_promoted_one",),
    ),
    Mutation(
        trap=9,
        name="a demotion is not recorded",
        file="replicad/store/roles.py",
        old="        core.record(Edit(copy=True, synced=last))\n",
        new="",
        caught_by=("tests/store/test_roles.py::test_who_followed_does_not_write_on_in_that_database",),
    ),
    Mutation(
        trap=9,
        name="a primary that hears of a higher epoch goes on",
        file="replicad/replication/policy/roles.py",
        old="        if other.epoch > me.epoch:\n            return Verdict.FENCE\n",
        new="",
        caught_by=("tests/replication/policy/test_roles.py::test_what_follows_from_hearing_of_another",),
    ),
    Mutation(
        trap=9,
        name="a node that was fenced starts as the primary that it was",
        file="replicad/replication/policy/roles.py",
        old='        role = "primary" if record.role == "primary" else "replica"\n',
        new="        role = verb\n",
        caught_by=("tests/replication/policy/test_roles.py::test_what_a_node_begins_as",),
    ),
    Mutation(
        trap=9,
        name="a fenced primary forgets over a restart",
        file="replicad/daemon/roles/fencing.py",
        old="        await until_saved(partial(memory.save_following, store.epoch, fenced_by=epoch))\n",
        new="",
        caught_by=("tests/integration/test_roles.py::test_a_fenced_primary_stays_fenced_through_a_restart",),
    ),
    Mutation(
        trap=9,
        name="a primary that stood still asks nobody",
        file="replicad/daemon/roles/pause_detector.py",
        old="            if self._standing.current in (Standing.PRIMARY, Standing.PAUSED) and",
        new="            if False and",
        caught_by=("tests/daemon/roles/test_pause_detector.py",),
    ),
    Mutation(
        trap=9,
        name="an answer from before a standstill is believed",
        file="replicad/daemon/roles/pause_detector.py",
        old="            if pauses != self._pauses:\n",
        new="            if False:\n",
        caught_by=("tests/daemon/roles/test_pause_detector.py",),
    ),
    Mutation(
        trap=9,
        name="a switchover forgets to whom it gave the role",
        file="replicad/daemon/roles/switchover.py",
        old="            await memory.save_following(self._store.epoch, granted_epoch=epoch)\n",
        new="            await memory.save_following(self._store.epoch)\n",
        caught_by=("tests/integration/test_switchover.py::test_the_primary_dies_at_a_step[given]",),
    ),
    Mutation(
        trap=9,
        name="a target forgets that it took over",
        file="replicad/daemon/roles/takeover.py",
        old="        if store.durable_position.epoch >= message.epoch:\n            return\n",
        new="",
        caught_by=("tests/daemon/roles/test_takeover.py::test_a_grant_that_comes_again_was_taken",),
    ),
    Mutation(
        trap=9,
        name="a target is ready before the position is durable",
        file="replicad/daemon/roles/takeover.py",
        old="    return store.durable_position == position\n",
        new="    return True\n",
        caught_by=("tests/daemon/roles/test_takeover.py::test_a_target_that_is_not_there_in_time_is_behind",),
    ),
    Mutation(
        trap=9,
        name="a target waits for what is applied only",
        file="replicad/daemon/roles/takeover.py",
        old="            while store.durable_position.sequence < position.sequence and",
        new="            while store.position.sequence < position.sequence and",
        caught_by=(
            "tests/daemon/roles/test_takeover.py::test_a_target_is_ready_when_the_position_is_durable",
        ),
    ),
    Mutation(
        trap=9,
        name="a node shows a position that is not durable",
        file="replicad/daemon/state_publisher.py",
        old="            position=None if store is None else str(store.durable_position),\n",
        new="            position=None if store is None else str(store.position),\n",
        caught_by=("tests/daemon/test_state_publisher.py::test_a_node_shows_its_durable_position",),
    ),
    Mutation(
        trap=12,
        name="a change of role ends with whoever asked for it",
        file="replicad/daemon/roles/change_lock.py",
        old="        result: str = await asyncio.shield(self._tasks.spawn(alone()))\n",
        new="        result: str = await self._tasks.spawn(alone())\n",
        caught_by=(
            "tests/daemon/roles/test_change_lock.py::test_a_change_of_role_outlives_whoever_asked_for_it",
        ),
    ),
    Mutation(
        trap=9,
        name="a promotion asks the next node only",
        file="replicad/daemon/roles/peer_survey.py",
        old="            to_ask = {address for address in found if address is not None} - asked.keys()\n",
        new="            to_ask = set()\n",
        caught_by=(
            "tests/daemon/roles/test_promotion.py::"
            "test_a_replica_of_replicas_is_promoted_when_the_primary_of_all_is_dead",
        ),
    ),
    Mutation(
        trap=9,
        name="an epoch that was given away is begun by another",
        file="replicad/daemon/roles/promotion.py",
        old="        await self.begin_epoch(own_epoch(max(above), self._identity.node, others))\n",
        new="        await self.begin_epoch(memory.least_epoch)\n",
        caught_by=(
            "tests/daemon/roles/test_switchover.py::test_no_other_node_begins_an_epoch_that_was_given_away",
        ),
    ),
    Mutation(
        trap=9,
        name="a replica is fresh without what its primary has not synced",
        file="replicad/daemon/feed_factory.py",
        old="            return 0.0 if written else age.seconds()\n",
        new="            return 0.0\n",
        caught_by=(
            "tests/daemon/test_feed_factory.py::"
            "test_acknowledged_writes_that_are_not_durable_make_replicas_older",
        ),
    ),
    Mutation(
        trap=11,
        name="who connects while data is exchanged gets the store that closes",
        file="replicad/daemon/data/node_data.py",
        old="            self._store.feed = None\n            await self.replicas",
        new="            await self.replicas",
        caught_by=(
            "tests/daemon/test_exchange.py::"
            "test_who_connects_while_sessions_end_is_not_served_from_a_store_that_closes",
        ),
    ),
)
