"""A replica that applies late: what it acknowledges, what it applies when, and where it stands still."""

from __future__ import annotations

from tests.teeth.mutation import Mutation

POLICY = "tests/replication/policy/test_apply_delay.py::"
APPLY = "tests/replication/replica/test_delayed_apply.py::"
RECEIVED = "tests/store/received/test_received_log.py::"
STREAM = "tests/replication/test_stream.py::"

DELAY = (
    Mutation(
        trap=9,
        name="log that waits is acknowledged as durable before it is synced",
        file="replicad/store/received/received_log.py",
        old="            piece.end, piece.size_bytes = after, piece.file.size\n",
        new="            piece.end, piece.size_bytes = after, piece.file.size\n"
        "            self._durable = after\n",
        caught_by=(f"{RECEIVED}test_only_what_was_synced_counts_as_durable",),
    ),
    Mutation(
        trap=1,
        name="the name of a new file of received log is not synced",
        file="replicad/store/received/received_log.py",
        old="            if names:\n                self._fs.sync_directory(self._directory)\n",
        new="",
        caught_by=(f"{RECEIVED}test_a_crash_leaves_a_prefix_with_everything_that_was_durable",),
    ),
    Mutation(
        trap=11,
        name="a file of received log goes before the removal of an older one is durable",
        file="replicad/store/received/received_log.py",
        old="                self._forget(self._pieces[0])\n"
        "                self._fs.sync_directory(self._directory)\n",
        new="                self._forget(self._pieces[0])\n",
        caught_by=(f"{RECEIVED}test_a_crash_leaves_a_prefix_with_everything_that_was_durable",),
    ),
    Mutation(
        trap=2,
        name="received log whose sync failed is synced again instead of written again",
        file="replicad/store/received/received_log.py",
        old="            doubt(self._fs, self._directory)\n",
        new="",
        caught_by=(f"{RECEIVED}test_after_a_failed_sync_the_files_are_written_again",),
    ),
    Mutation(
        trap=11,
        name="received log goes on behind damage",
        file="replicad/store/received/opening.py",
        old="        follows = piece is not None and (not pieces or piece.begin == pieces[-1].end)\n",
        new="        follows = piece is not None\n",
        caught_by=(f"{RECEIVED}test_a_crash_leaves_a_prefix_with_everything_that_was_durable",),
    ),
    Mutation(
        trap=8,
        name="a batch that the clock puts into the future is applied at once",
        file="replicad/replication/policy/apply_delay.py",
        old="    return max(0, batch.commit_time_us + rules.delay_us - now_us)\n",
        new="    age_us = now_us - batch.commit_time_us\n    return max(0, rules.delay_us - abs(age_us))\n",
        caught_by=(
            f"{POLICY}test_may_this_batch_be_applied_now",
            f"{APPLY}test_a_clock_that_is_set_back_makes_batches_wait_longer",
        ),
    ),
    Mutation(
        trap=8,
        name="a batch that is old enough passes a pause",
        file="replicad/replication/policy/apply_delay.py",
        old="    if rules.pause is not None and not rules.pause.allows(batch):\n",
        new="    if rules.pause is not None and not rules.pause.allows(batch) and not rules.delay_us:\n",
        caught_by=(f"{POLICY}test_may_this_batch_be_applied_now",),
    ),
    Mutation(
        trap=11,
        name="a batch that reaches beyond a pause is applied",
        file="replicad/replication/policy/apply_delay.py",
        old="        if self.sequence is not None and batch.last_sequence > self.sequence:\n",
        new="        if self.sequence is not None and batch.last_sequence > self.sequence + 1:\n",
        caught_by=(f"{POLICY}test_may_this_batch_be_applied_now", f"{APPLY}test_what_waits_outlives_a_kill"),
    ),
    Mutation(
        trap=5,
        name="a pause holds before it is on record, whether it gets there or not",
        file="replicad/replication/replica/delayed_apply.py",
        old="        except BaseException:\n            self.rules = before\n            raise\n",
        new="        except BaseException:\n            raise\n",
        caught_by=(f"{APPLY}test_a_pause_that_cannot_be_recorded_is_none",),
    ),
    Mutation(
        trap=5,
        name="a resumed replica applies before the end of its pause is on record",
        file="replicad/replication/replica/delayed_apply.py",
        old="            await self._save_pause(None)\n"
        "            self.rules = replace(self.rules, pause=None)\n        log.warning(",
        new="            self.rules = replace(self.rules, pause=None)\n            self._to_apply.notify()\n"
        "            await self._save_pause(None)\n        log.warning(",
        caught_by=(f"{APPLY}test_a_resume_that_cannot_be_recorded_leaves_the_pause",),
    ),
    Mutation(
        trap=28,
        name="log that waits has no bound",
        file="replicad/replication/replica/delayed_apply.py",
        old="            if (refusal := self.refusal) is not None:\n"
        "                raise WaitingLogFullError(refusal)\n",
        new="",
        caught_by=(f"{APPLY}test_log_that_waits_is_bounded",),
    ),
    Mutation(
        trap=16,
        name="what a delayed replica receives is not checked against its history",
        file="replicad/replication/replica/delayed_apply.py",
        old="            scan = check_continues(frames, self._store.database_id, at)\n",
        new="            unchecked = {'check_chain': False, 'check_body': False}\n"
        "            scan = kernels.scan_frames(frames, self._store.database_id, 0, 0, 0, **unchecked)\n",
        caught_by=(f"{APPLY}test_frames_that_do_not_continue_what_waits_are_refused",),
    ),
    Mutation(
        trap=9,
        name="a promotion without a pause leaves out what waits",
        file="replicad/replication/replica/delayed_apply.py",
        old="        rules = ApplyRules(0, pause)\n",
        new="        rules = replace(self.rules, pause=pause)\n",
        caught_by=(f"{APPLY}test_a_promotion_without_a_pause_applies_everything",),
    ),
    Mutation(
        trap=9,
        name="a primary takes what a delayed replica received for what it applied",
        file="replicad/replication/primary/sender.py",
        old="        seen = sequence if applied is None else min(applied, sequence)\n",
        new="        seen = sequence\n",
        caught_by=(f"{STREAM}test_a_replica_that_applies_late_acknowledges_what_is_durable",),
    ),
)
