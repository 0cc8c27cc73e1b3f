"""Nodes: what they tell each other, what they believe, how long they keep log, and what clients may do."""

from __future__ import annotations

from tests.teeth.mutation import Mutation

AGREE = "tests/replication/test_agree.py::"
STREAM = "tests/replication/test_stream.py::"
SESSIONS = "tests/replication/test_sessions.py::"
SLOTS = "tests/replication/test_slots.py::"
STATES = "tests/replication/test_slot_states.py::"
STAGING = "tests/replication/test_staging.py::"

NODES = (
    # 8: clocks
    Mutation(
        trap=8,
        name="retention counts wall-clock time",
        file="replicad/store/log_upkeep.py",
        old="    now = core.env.clock.monotonic()\n",
        new="    now = core.env.clock.wall_us() / 1e6\n",
        caught_by=("tests/store/test_log_retention.py::test_age_counts_while_open",),
    ),
    Mutation(
        trap=8,
        name="leases end by the wall clock",
        file="replicad/store/leases.py",
        old="        why = lease.ended or lease.over(self._clock.monotonic())\n",
        new="        why = lease.ended or lease.over(self._clock.wall_us() / 1e6)\n",
        caught_by=("tests/store/test_leases.py",),
    ),
    Mutation(
        trap=8,
        name="commit times begin anew when the log is empty",
        file="replicad/store/opening.py",
        old="    core.log.restart(position, max(recovered.commit_time_us, core.state.commit_time_us))\n",
        new="    core.log.restart(position, recovered.commit_time_us)\n",
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
        file="replicad/replication/slot_upkeep.py",
        old="        steps = int(self._env.clock.monotonic() - self._idle_from) // IDLE_STEP_SECONDS\n",
        new="        steps = int(self._env.clock.wall_us() / 1e6 - self._idle_from) // IDLE_STEP_SECONDS\n",
        caught_by=("tests/replication/test_slot_upkeep.py::test_absence_is_counted_by_no_wall_clock",),
    ),
    # 9: acknowledged is only what is durable
    Mutation(
        trap=9,
        name="a replica acknowledges as durable what it applied",
        file="replicad/replication/receiver.py",
        old="        self._ack_timer = None\n"
        "        durable = min(int(self._store.durable_sequence), int(self._applied))\n",
        new="        self._ack_timer = None\n        durable = int(self._applied)\n",
        caught_by=(f"{STREAM}test_durable_is_acknowledged_apart_from_applied",),
    ),
    Mutation(
        trap=9,
        name="a token of a batch that was lost is taken for another one",
        file="replicad/server/tokens.py",
        old="        return Standing.THERE if found == token else Standing.LOST\n",
        new="        return Standing.THERE\n",
        caught_by=("tests/server/test_tokens.py",),
    ),
    # 10: the empty or older primary
    Mutation(
        trap=10,
        name="database ids are not compared",
        file="replicad/replication/agree.py",
        old="    if replica.database_id != primary.database_id:\n        return _stop(\n",
        new="    if False:\n        return _stop(\n",
        caught_by=(f"{AGREE}test_cases",),
    ),
    Mutation(
        trap=10,
        name="history hashes are not compared",
        file="replicad/replication/agree.py",
        old="    if there.sequence == end.sequence and there.history_hash != end.history_hash:\n",
        new="    if False:\n",
        caught_by=(f"{AGREE}test_cases",),
    ),
    Mutation(
        trap=10,
        name="a replica that is ahead bootstraps",
        file="replicad/replication/agree.py",
        old="            return _stop(\n                Code.REPLICA_AHEAD,\n",
        new="            return Decision(\n"
        "                Outcome.BOOTSTRAP,\n                Code.LOG_GONE,\n",
        caught_by=(f"{AGREE}test_cases",),
    ),
    Mutation(
        trap=10,
        name="an empty primary wipes its replicas",
        file="replicad/replication/agree.py",
        old="    if (here.epoch, here.sequence) <= (there.epoch, there.sequence):\n",
        new="    if False:\n",
        caught_by=(f"{AGREE}test_a_replica_with_data_guards_it",),
    ),
    Mutation(
        trap=10,
        name="a replica with data lets any reason replace it",
        file="replicad/replication/agree.py",
        old="    if code is not Code.LOG_GONE:\n",
        new="    if False:\n",
        caught_by=(f"{AGREE}test_a_replica_with_data_guards_it",),
    ),
    Mutation(
        trap=10,
        name="heartbeats of another history are not noticed",
        file="replicad/replication/history_check.py",
        old="    if mine is not None and mine != theirs:\n",
        new="    if False:\n",
        caught_by=("tests/replication/test_history_check.py",),
        hangs=True,
    ),
    # 11: gaps
    Mutation(
        trap=11,
        name="a replica takes frames that begin later",
        file="replicad/replication/receiver.py",
        old="            if message.first != self._received + 1:\n",
        new="            if message.first <= self._received:\n",
        caught_by=(f"{STREAM}test_a_gap_is_an_error",),
    ),
    Mutation(
        trap=11,
        name="no log is held while a copy is fetched",
        file="replicad/replication/primary.py",
        old="        slot = self.slots.hold(\n"
        "            node_id, copy.position.sequence, self._env.clock.wall_us(), name=session.hello.name\n"
        "        )\n",
        new="        self.slots.drop(node_id)\n        slot = Slot(node_id=node_id, sequence=0, seen_us=0)\n",
        caught_by=(f"{SESSIONS}test_an_empty_replica_bootstraps_and_streams",),
    ),
    Mutation(
        trap=11,
        name="retention takes log that somebody holds",
        file="replicad/store/wal/retention.py",
        old="        if held or not (old or short or total > rules.bytes_max):\n",
        new="        if not (old or short or total > rules.bytes_max):\n",
        caught_by=("tests/store/wal/test_retention.py::test_choice",),
    ),
    # 12: cancellation
    # 15: slots
    Mutation(
        trap=15,
        name="a slot's cap is ignored",
        file="replicad/replication/slot_states.py",
        old="    if held > limits.log_bytes_max:\n",
        new="    if False:\n",
        caught_by=(f"{STATES}test_limits",),
    ),
    Mutation(
        trap=15,
        name="the disk's floor is ignored",
        file="replicad/replication/slot_states.py",
        old="    return over + _over_floor(within, log)\n",
        new="    return over\n",
        caught_by=(f"{STATES}test_limits",),
    ),
    Mutation(
        trap=15,
        name="a slot that let go holds on",
        file="replicad/replication/slots.py",
        old="            if slot.invalid is None or slot.node_id in self._ending\n",
        new="            if True\n",
        caught_by=(f"{SLOTS}test_a_slot_over_its_cap_holds_nothing",),
    ),
    Mutation(
        trap=15,
        name="log goes while a session reads it",
        file="replicad/replication/slots.py",
        old="            if slot.invalid is None or slot.node_id in self._ending\n",
        new="            if slot.invalid is None\n",
        caught_by=(f"{SLOTS}test_log_that_is_read_stays_until_the_session_ended",),
    ),
    Mutation(
        trap=15,
        name="a slot lets go in silence",
        file="replicad/replication/slots.py",
        old="        self._unreported.append(invalid)\n",
        new="",
        caught_by=(f"{SLOTS}test_a_slot_over_its_cap_holds_nothing",),
    ),
    Mutation(
        trap=15,
        name="a slot that let go never holds again",
        file="replicad/replication/slots.py",
        old="                if slot.invalid is not None and reads and there and within:\n",
        new="                if False:\n",
        caught_by=(f"{SLOTS}test_a_replica_that_caught_up_gets_its_slot_back",),
    ),
    Mutation(
        trap=15,
        name="the store does not ask the slots at a rotation",
        file="replicad/store/log_upkeep.py",
        old="    _enforce_holds(core, segments)\n",
        new="",
        caught_by=("tests/store/test_log_retention.py::test_holds_are_asked_before_log_goes",),
    ),
    # 16: hostile input
    Mutation(
        trap=16,
        name="any file name is taken",
        file="replicad/replication/staging.py",
        old="        if NAME.fullmatch(entry.name) is None:\n",
        new="        if NAME.match(entry.name) is None:\n",
        caught_by=(f"{STAGING}test_names_outside_the_pattern_are_refused",),
    ),
    Mutation(
        trap=16,
        name="a file may be longer than the list says",
        file="replicad/replication/staging.py",
        old="        if self.offset + len(data) > self._entry.size:\n",
        new="        if False:\n",
        caught_by=(f"{STAGING}test_a_file_of_another_content_is_refused",),
    ),
    Mutation(
        trap=16,
        name="files of a list may take more than was announced",
        file="replicad/replication/staging.py",
        old="    if total != size_bytes:\n",
        new="    if False:\n",
        caught_by=(f"{STAGING}test_lists_that_do_not_add_up_are_refused",),
    ),
    Mutation(
        trap=16,
        name="an acknowledgement above what was sent is believed",
        file="replicad/replication/sender.py",
        old="        if not self.sent >= ack.received >= ack.applied >= ack.durable:\n",
        new="        if not ack.received >= ack.applied >= ack.durable:\n",
        caught_by=(f"{STREAM}test_an_impossible_acknowledgement_ends_the_session",),
        hangs=True,
    ),
    Mutation(
        trap=16,
        name="names at a backup's target may lead elsewhere",
        file="replicad/backup/directory_target.py",
        old='        if any(part in ("", ".", "..") or "\\0" in part for part in parts):\n',
        new="        if False:\n",
        caught_by=("tests/backup/test_targets.py::test_names_stay_beneath",),
    ),
    Mutation(
        trap=16,
        name="a request may declare more than it brings",
        file="replicad/server/requests.py",
        old="        if declared and sum(map(int, declared)) * _ELEMENT_BYTES_MIN > len(data):\n",
        new="        if False:\n",
        caught_by=("tests/server/test_requests.py",),
    ),
)
