"""Nodes: clocks, acknowledgements, and whose history replaces whose."""

from __future__ import annotations

from tests.teeth.mutation import Mutation

AGREE = "tests/replication/policy/test_agree.py::"
STREAM = "tests/replication/test_stream.py::"

NODES = (
    # 8: clocks
    Mutation(
        trap=8,
        name="retention counts wall-clock time",
        file="replicad/store/background/log_upkeep.py",
        old="    now = core.env.clock.monotonic()\n",
        new="    now = core.env.clock.wall_us() / 1e6\n",
        caught_by=("tests/store/test_log_retention.py::test_age_counts_while_open",),
    ),
    Mutation(
        trap=8,
        name="leases end by the wall clock",
        file="replicad/store/holds/leases.py",
        old="        why = lease.ended or lease.over(self._clock.monotonic())\n",
        new="        why = lease.ended or lease.over(self._clock.wall_us() / 1e6)\n",
        caught_by=("tests/store/holds/test_leases.py",),
    ),
    Mutation(
        trap=8,
        name="commit times begin anew when the log is empty",
        file="replicad/store/open/steps.py",
        old="    core.recovered_time_us = max(recovered.commit_time_us, core.state.commit_time_us)\n",
        new="    core.recovered_time_us = recovered.commit_time_us\n",
        caught_by=("tests/store/test_log_times.py::test_commit_times_never_go_back",),
    ),
    Mutation(
        trap=8,
        name="commit times begin anew in another node's log",
        file="replicad/store/wal/writer.py",
        old="            self.refuse(error)\n"
        "        self.frames.reset(position.epoch, position.sequence, "
        "position.history_hash, commit_time_us)\n",
        new="            self.refuse(error)\n"
        "        self.frames.reset(position.epoch, position.sequence, position.history_hash, 0)\n",
        caught_by=("tests/store/test_log_times.py::test_commit_times_never_go_back",),
    ),
    Mutation(
        trap=8,
        name="the absence of replicas is counted by the wall clock",
        file="replicad/replication/primary/slot_upkeep.py",
        old="        steps = int(self._env.clock.monotonic() - self._idle_from) // IDLE_STEP_SECONDS\n",
        new="        steps = int(self._env.clock.wall_us() / 1e6 - self._idle_from) // IDLE_STEP_SECONDS\n",
        caught_by=(
            "tests/replication/primary/test_slot_upkeep.py::test_absence_is_counted_by_no_wall_clock",
        ),
    ),
    Mutation(
        trap=8,
        name="commit times begin anew in a copy that is written",
        file="replicad/store/open/opening.py",
        old="        core.log.frames.commit_time_us,\n        core.options.segment_bytes,\n",
        new="        0,\n        core.options.segment_bytes,\n",
        caught_by=("tests/store/test_log_times.py::test_commit_times_never_go_back",),
    ),
    Mutation(
        trap=8,
        name="the wall clock says how old a replica's data is",
        file="replicad/replication/replica/ages.py",
        old="staleness_seconds(store.latest_sequence, self._clock.awake())",
        new="staleness_seconds(store.latest_sequence, self._clock.wall_us() / 1e6)",
        caught_by=("tests/replication/replica/test_freshness.py::test_no_wall_clock_says_how_old_data_is",),
    ),
    # 9: acknowledged and shipped is only what is durable
    Mutation(
        trap=9,
        name="a replica acknowledges as durable what it applied",
        file="replicad/replication/replica/receiver.py",
        old="        return Ack(received, applied, durable)\n",
        new="        return Ack(received, applied, applied)\n",
        caught_by=(f"{STREAM}test_durable_is_acknowledged_apart_from_applied",),
    ),
    Mutation(
        trap=9,
        name="a token of a batch that was lost is taken for another one",
        file="replicad/server/tokens.py",
        old="        return TokenState.THERE if found == token else TokenState.LOST\n",
        new="        return TokenState.THERE\n",
        caught_by=("tests/server/test_tokens.py",),
    ),
    Mutation(
        trap=9,
        name="a slot begins after what its replica could lose",
        file="replicad/replication/primary/node.py",
        old="            min(sequence, claim.durable),\n",
        new="            sequence,\n",
        caught_by=("tests/replication/test_held_log.py::test_a_slot_follows_what_its_replica_holds_durably",),
    ),
    Mutation(
        trap=9,
        name="a slot follows what was received",
        file="replicad/replication/primary/node.py",
        old="        self.slots.advance(node_id, ack.durable, self._env.clock.wall_us())\n",
        new="        self.slots.advance(node_id, ack.received, self._env.clock.wall_us())\n",
        caught_by=("tests/replication/test_held_log.py::test_a_slot_follows_what_its_replica_holds_durably",),
    ),
    Mutation(
        trap=9,
        name="a write is answered before its replicas have it",
        file="replicad/server/committer.py",
        old="        _tell(self.holding.release(visible, released))\n",
        new="        _tell(self.holding.release(visible, visible))\n",
        caught_by=("tests/server/test_waiting.py::test_writes_wait_for_the_replicas_that_the_rule_asks_for",),
    ),
    Mutation(
        trap=9,
        name="a position is waited for by its number alone",
        file="replicad/server/commands/waiting.py",
        old="            found = await server.workers.look_up(lambda: store.position_at(token.sequence))\n",
        new="            found = token\n",
        caught_by=("tests/server/test_waiting.py::test_waitpos_makes_the_next_read_see_a_write",),
    ),
    Mutation(
        trap=9,
        name="a command is judged by what is visible",
        file="replicad/server/client_state.py",
        old="            value = self._reader.get(key, family=self.family)\n",
        new="            value = self.server.store.get(key, family=self.family)\n",
        caught_by=(
            "tests/server/test_visibility.py::test_a_condition_is_evaluated_against_the_newest_state",
        ),
    ),
    Mutation(
        trap=9,
        name="a primary that doubts itself answers writes",
        file="replicad/server/committer.py",
        old="        visible = self._acknowledgeable()\n",
        new="        visible = self._store.latest_sequence\n",
        caught_by=("tests/server/test_visibility.py::test_a_primary_that_doubts_answers_no_write",),
    ),
    Mutation(
        trap=9,
        name="a fenced primary acknowledges what waited",
        file="replicad/server/committer.py",
        old="            self._drop(refusals.read_only(self._node.primary_address))\n"
        "            self._disown_held()\n",
        new="            self._drop(refusals.read_only(self._node.primary_address))\n",
        caught_by=("tests/server/test_visibility.py::test_a_fenced_primary_acknowledges_nothing_that_waits",),
    ),
    # 10: the empty or older primary
    Mutation(
        trap=10,
        name="database ids are not compared",
        file="replicad/replication/policy/agree.py",
        old="    if replica.database_id != primary.database_id:\n        return _stop(\n",
        new="    if False:\n        return _stop(\n",
        caught_by=(f"{AGREE}test_who_may_follow",),
    ),
    Mutation(
        trap=10,
        name="history hashes are not compared",
        file="replicad/replication/policy/agree.py",
        old="    if there.sequence == end.sequence and there.history_hash != end.history_hash:\n",
        new="    if False:\n",
        caught_by=(f"{AGREE}test_who_may_follow",),
    ),
    Mutation(
        trap=10,
        name="a replica that is ahead bootstraps",
        file="replicad/replication/policy/agree.py",
        old="            return _stop(\n                Code.REPLICA_AHEAD,\n",
        new="            return Decision(\n"
        "                Outcome.BOOTSTRAP,\n                Code.LOG_GONE,\n",
        caught_by=(f"{AGREE}test_who_may_follow",),
    ),
    Mutation(
        trap=10,
        name="an empty primary wipes its replicas",
        file="replicad/replication/policy/agree.py",
        old="    if (here.epoch, here.sequence) <= (there.epoch, there.sequence):\n",
        new="    if False:\n",
        caught_by=(f"{AGREE}test_a_replica_with_data_guards_it",),
    ),
    Mutation(
        trap=10,
        name="a replica with data lets any reason replace it",
        file="replicad/replication/policy/agree.py",
        old="    if code is not Code.LOG_GONE:\n",
        new="    if False:\n",
        caught_by=(f"{AGREE}test_a_replica_with_data_guards_it",),
    ),
    Mutation(
        trap=10,
        name="heartbeats of another history are not noticed",
        file="replicad/replication/wire/history_check.py",
        old="    if mine is not None and mine != theirs:\n",
        new="    if False:\n",
        caught_by=("tests/replication/wire/test_history_check.py",),
        hangs=True,
    ),
    Mutation(
        trap=10,
        name="history hashes are compared at the end of the log only",
        file="replicad/replication/policy/agree.py",
        old="    if there.sequence < end.sequence and found is not None and found != there:\n",
        new="    if False:\n",
        caught_by=("tests/replication/policy/test_agree.py::test_who_may_follow",),
    ),
    Mutation(
        trap=10,
        name="a replica installs whatever its primary proposes",
        file="replicad/replication/replica/follower.py",
        old="        if refusal is not None:\n",
        new="        if False:\n",
        caught_by=(
            "tests/replication/test_proposals.py::test_a_copy_that_must_not_replace_its_data_is_refused",
        ),
    ),
    Mutation(
        trap=10,
        name="a replica starts over for a copy of its own epoch",
        file="replicad/replication/policy/agree.py",
        old="    if primary.position.epoch <= replica.position.epoch:\n",
        new="    if False:\n",
        caught_by=("tests/replication/test_proposals.py::test_who_may_start_over",),
    ),
    Mutation(
        trap=10,
        name="a directory that lost CURRENT is taken for an empty one",
        file="replicad/store/open/opening.py",
        old="    if ours and ours != [manifest_name(FIRST_FILE)]:",
        new="    if False:",
        caught_by=(
            "tests/store/test_recovery.py::test_tables_without_current_are_not_taken_for_an_empty_directory",
        ),
    ),
    Mutation(
        trap=11,
        name="the log of a node whose options are damaged is looked for in the usual place only",
        file="replicad/cli/nodes/offline.py",
        old='        if not any(map(is_segment_name, fs.list(directory / "wal"))):\n            raise\n',
        new="",
        caught_by=(
            "tests/cli/test_directory.py::"
            "test_a_damaged_options_file_is_an_error_where_only_it_says_where_the_log_is",
        ),
    ),
    Mutation(
        trap=10,
        name="a directory of which the log is left is taken for an empty one",
        file="replicad/store/open/opening.py",
        old="    ours += [name for name in env.fs.list(wal_dir_of(path, options)) if "
        "is_segment_name(name)]\n",
        new="",
        caught_by=("tests/store/test_recovery.py::test_only_the_log_is_left",),
    ),
    Mutation(
        trap=9,
        name="a write is said to stay while the role is in doubt",
        file="replicad/server/committer.py",
        old="        late = self.holding.late(self._acknowledgeable(), before)\n",
        new="        late = self.holding.late(self._store.latest_sequence, before)\n",
        caught_by=("tests/server/test_order.py::test_nothing_is_said_to_stay_while_the_role_is_in_doubt",),
    ),
    Mutation(
        trap=9,
        name="a node that drains does not hear that it was fenced",
        file="replicad/daemon/ports/client_port.py",
        old="        both = (self._server, self._draining)\n",
        new="        both = (self._server,)\n",
        caught_by=("tests/daemon/ports/test_client_port.py",),
    ),
)
