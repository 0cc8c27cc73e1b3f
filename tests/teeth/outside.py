"""What Python itself does around us: optimisation, exceptions at any place, fork, the interpreter's end."""

from __future__ import annotations

from tests.teeth.mutation import Mutation

ENDS = "tests/store/test_ends.py::"
LIFE = "tests/store/test_process_life.py::"
PROOF = "tests/store/compaction/test_proof.py::test_a_merge_that_lost_entries_changes_nothing"

OUTSIDE = (
    # 17: asserts with an effect
    Mutation(
        trap=17,
        name="a merge's inputs are added within an assert",
        file="replicad/store/compaction/merge.py",
        old="        self._merger.add_run()\n",
        new="        assert self._merger.add_run() >= 0\n",
        caught_by=("tests/test_lint_asserts.py::test_the_package_keeps_it",),
    ),
    Mutation(
        trap=17,
        name="a merge that read less than its inputs hold is published",
        file="replicad/store/compaction/merge.py",
        old="        if self._merger.entries_in != self._entries:\n",
        new="        if False:\n",
        caught_by=(f"{PROOF}[read]",),
    ),
    Mutation(
        trap=17,
        name="a merge that wrote less than it kept is published",
        file="replicad/store/compaction/merge.py",
        old="        if written != self._merger.entries_out:\n",
        new="        if False:\n",
        caught_by=(f"{PROOF}[written]",),
    ),
    # 18: exceptions from outside
    Mutation(
        trap=18,
        name="an append that was interrupted leaves what it wrote in the log",
        file="replicad/store/write/applier.py",
        old="            self._log.cut_back(error)\n",
        new="            pass\n",
        caught_by=(f"{ENDS}test_an_interrupted_append_leaves_no_trace",),
    ),
    Mutation(
        trap=18,
        name="the thread that waits syncs by itself",
        file="replicad/store/syncer.py",
        old="            self.hurry()\n",
        new="            progress.advance_durable(self._log.sync())\n            continue\n",
        caught_by=(f"{ENDS}test_who_waits_for_a_sync_is_interrupted_and_the_sync_is_not",),
    ),
    Mutation(
        trap=18,
        name="a segment is made where an exception can come between",
        file="replicad/store/write/write_path.py",
        old="            self._apart(self._make_ready)\n",
        new="            self._make_ready()\n",
        caught_by=(
            "tests/faults/test_faults.py::test_an_exception_at_any_bytecode_splits_nothing[rotate-async]",
        ),
    ),
    Mutation(
        trap=18,
        name="a dropped snapshot holds its number for ever",
        file="replicad/store/holds/held.py",
        old="        self._references.add(weakref.ref(item, self._references.discard))\n",
        new="        self._references.add(weakref.ref(item, self._references.discard))\n"
        "        vars(self).setdefault('kept', []).append(item)\n",
        caught_by=(f"{ENDS}test_what_is_dropped_is_let_go",),
    ),
    # 19: fork
    Mutation(
        trap=19,
        name="a forked child writes to its parent's log",
        file="replicad/store/open/alive.py",
        old="        core.progress.forked = core.progress.closed = core.progress.ended = True\n",
        new="",
        caught_by=(f"{LIFE}test_a_forked_child_is_refused_and_its_parent_notices_nothing[async]",),
        hangs=True,
    ),
    Mutation(
        trap=19,
        name="a forked child keeps the directory locked",
        file="replicad/store/open/alive.py",
        old="            core.lock.release()",
        new="            pass",
        caught_by=(f"{LIFE}test_a_child_does_not_keep_the_directory_locked",),
    ),
    # 30: the end of the interpreter
    Mutation(
        trap=30,
        name="a program that ends does not close its databases",
        file="replicad/store/open/alive.py",
        old="at_exit(_close_all)\n",
        new="",
        caught_by=(f"{LIFE}test_a_program_that_ends_closes_its_databases",),
    ),
    # 22: nonsense behind a checksum
    Mutation(
        trap=22,
        name="frames are applied whatever they mean",
        file="replicad/store/write/foreign_frames.py",
        old="            check_frames(data, core.log.written, families, core.version.next_family)\n",
        new="",
        caught_by=("tests/store/write/test_admission.py::test_nonsense_is_refused_and_changes_nothing",),
    ),
    Mutation(
        trap=22,
        name="an epoch begins without its record",
        file="replicad/store/write/admission.py",
        old="        check_epoch(controls.pop(0) if controls else None, at, epoch)\n",
        new="        pass\n",
        caught_by=("tests/store/write/test_admission.py::test_nonsense_is_refused_and_changes_nothing",),
    ),
    Mutation(
        trap=22,
        name="any bytes are the name of a column family",
        file="replicad/store/write/admission.py",
        old="            families[check_new_family(key, family, families, next_family)] = family\n",
        new="            families[key.decode(errors='replace')] = family\n",
        caught_by=("tests/store/write/test_admission.py::test_nonsense_is_refused_and_changes_nothing",),
    ),
    # 13: a full disk
    Mutation(
        trap=13,
        name="a compaction begins whether its output fits or not",
        file="replicad/store/background/lanes.py",
        old="    if free < needed:\n",
        new="    if False:\n",
        caught_by=(
            "tests/store/test_no_room.py::test_a_compaction_without_room_for_its_output_does_not_begin",
        ),
    ),
    # 8: clocks jump
    Mutation(
        trap=8,
        name="a wall clock is believed however far it jumped",
        file="replicad/store/commit_clock.py",
        old="    if ahead_us <= limit_us:\n",
        new="    if True:\n",
        caught_by=(
            "tests/store/test_commit_clock.py::test_a_write_while_the_clock_is_ahead_gets_the_true_time",
        ),
    ),
    Mutation(
        trap=8,
        name="a clock that was set back may not return",
        file="replicad/store/commit_clock.py",
        old="            self._anchor = (max(wall_us, expected_us), awake)\n",
        new="            self._anchor = (wall_us, awake)\n",
        caught_by=("tests/store/test_commit_clock.py::test_a_clock_that_was_set_back_may_return",),
    ),
    Mutation(
        trap=8,
        name="column families are created at whatever the clock says",
        file="replicad/store/write/control_writer.py",
        old="            now_us = self._clock.now_us(frames.commit_time_us)\n",
        new="            now_us = self._core.env.clock.wall_us()\n",
        caught_by=(
            "tests/store/test_commit_clock.py::test_a_write_while_the_clock_is_ahead_gets_the_true_time",
        ),
    ),
    Mutation(
        trap=13,
        name="a database that was opened without room is written before its manifest is",
        file="replicad/store/pressure.py",
        old='NEEDED_BY_WRITES: tuple[Work, ...] = ("manifest", "reserve")\n',
        new='NEEDED_BY_WRITES: tuple[Work, ...] = ("reserve",)\n',
        caught_by=("tests/store/test_no_room.py::test_a_database_on_a_full_disk_opens_for_reading",),
    ),
    Mutation(
        trap=13,
        name="an opening without room removes what the manifest does not know",
        file="replicad/store/open/opening.py",
        old="    if manifest.has_file:\n        remove_stale_manifests(fs, path)\n",
        new="    if True:\n        remove_stale_manifests(fs, path)\n",
        caught_by=("tests/store/test_no_room.py::test_an_opening_without_room_removes_nothing",),
    ),
    Mutation(
        trap=13,
        name="an opening without room gives the number of a leftover again",
        file="replicad/store/open/opening.py",
        old="        core.numbers.at_least(unused_number(fs, path))\n",
        new="",
        caught_by=("tests/store/test_no_room.py::test_an_opening_without_room_removes_nothing",),
    ),
    # 18: an exception at any bytecode
    Mutation(
        trap=18,
        name="a read of updates that was broken off goes on behind what it read",
        file="replicad/store/updates.py",
        old="        cursor, self._cursor = self._cursor, None\n        if cursor is None:\n",
        new="        cursor = self._cursor\n        if cursor is None:\n",
        caught_by=("tests/store/test_updates.py::test_an_exception_from_outside_takes_no_update",),
    ),
)
