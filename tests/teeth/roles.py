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
        file="replicad/store/opening.py",
        old="    recovered = _replay_into(core, segments, headless)\n",
        new="    recovered = _replay_into(core, [], headless)\n",
        caught_by=("tests/store/test_recovery.py::test_kill_at_any_moment",),
    ),
    Mutation(
        trap=5,
        name="a promotion does not record its epoch in the manifest",
        file="replicad/store/roles.py",
        old="epochs=(*epochs, record)))\n        try:",
        new="epochs=epochs))\n        try:",
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
        file="replicad/store/control.py",
        old="            core.record(Edit(epochs=epochs))\n",
        new="            core.state = core.state.apply(Edit(epochs=epochs))\n",
        caught_by=("tests/store/test_roles.py::test_an_applied_epoch_is_known_after_its_log_is_in_tables",),
    ),
    Mutation(
        trap=5,
        name="the node's record counts for more than its data",
        file="replicad/replication/roles.py",
        old="    if stored is not None and stored.epoch > record.epoch:\n",
        new="    if False:\n",
        caught_by=("tests/replication/test_roles.py::test_what_a_node_begins_as",),
    ),
    # 9: acknowledged and shipped is only what is durable
    Mutation(
        trap=9,
        name="a promotion does not wait for the record of its epoch",
        file="replicad/store/roles.py",
        old="            _sync_through(core, writes.begin_epoch(record))\n        except DiskFullError:\n",
        new="            writes.begin_epoch(record)\n        except DiskFullError:\n",
        caught_by=("tests/store/test_roles.py::test_a_promoted_replica_takes_writes_in_a_new_epoch",),
    ),
    Mutation(
        trap=9,
        name="a demoted node goes on writing",
        file="replicad/store/write_path.py",
        old='            self._refuses = role == "replica"\n            self._changing = False\n',
        new="            self._refuses = False\n            self._changing = False\n",
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
        file="replicad/replication/roles.py",
        old="        if other.epoch > me.epoch:\n            return Verdict.FENCE\n",
        new="",
        caught_by=("tests/replication/test_roles.py::test_what_follows_from_hearing_of_another",),
    ),
    Mutation(
        trap=9,
        name="a node that was fenced starts as the primary that it was",
        file="replicad/replication/roles.py",
        old='        role = "primary" if record.role == "primary" else "replica"\n',
        new="        role = verb\n",
        caught_by=("tests/replication/test_roles.py::test_what_a_node_begins_as",),
    ),
    Mutation(
        trap=9,
        name="a fenced primary forgets over a restart",
        file="replicad/daemon/role_changes.py",
        old="                    await node.memory.save_following(node.epoch, "
        "fenced_by=epoch)\n                    await in_thread(node.store.demote)\n",
        new="                    await in_thread(node.store.demote)\n",
        caught_by=("tests/integration/test_roles.py::test_a_fenced_primary_stays_fenced_through_a_restart",),
    ),
    Mutation(
        trap=9,
        name="a primary that stood still asks nobody",
        file="replicad/daemon/certainty.py",
        old="            if node.standing in (Standing.PRIMARY, Standing.PAUSED) and len(node.peers):\n",
        new="            if False:\n",
        caught_by=("tests/daemon/test_certainty.py",),
    ),
    Mutation(
        trap=9,
        name="an answer from before a standstill is believed",
        file="replicad/daemon/certainty.py",
        old="            if standstills != self._standstills:\n",
        new="            if False:\n",
        caught_by=("tests/daemon/test_certainty.py",),
    ),
    Mutation(
        trap=9,
        name="a switchover forgets to whom it gave the role",
        file="replicad/daemon/role_changes.py",
        old="            await memory.save_following(node.epoch, granted_epoch=epoch)\n",
        new="            await memory.save_following(node.epoch)\n",
        caught_by=("tests/integration/test_switchover.py::test_the_primary_dies_at_a_step[given]",),
    ),
    Mutation(
        trap=9,
        name="a target forgets that it took over",
        file="replicad/daemon/switchover.py",
        old="    if store.durable_position.epoch >= message.epoch:\n        return\n",
        new="",
        caught_by=("tests/integration/test_switchover.py::test_the_target_dies_at_a_step[begun]",),
    ),
)
