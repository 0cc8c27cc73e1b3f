"""Replicas that start from a backup: what is taken, what is refused, and what an interrupted one leaves."""

from __future__ import annotations

from tests.teeth.mutation import Mutation

_CHOICE = "tests/daemon/backups/test_base_choice.py"
_READY = "tests/backup/restore/test_ready_copy.py"
_RESTORING = "tests/replication/replica/test_restoring.py"

STARTING = (
    # 10: the empty or older primary must not wipe its replicas
    Mutation(
        trap=10,
        name="a backup ahead of its primary is passed over, and the older state is taken",
        file="replicad/daemon/backups/base_choice.py",
        old="    Code.REPLICA_AHEAD: Fit.REFUSED,\n",
        new="    Code.REPLICA_AHEAD: Fit.PASSED_OVER,\n",
        caught_by=(f"{_CHOICE}::test_a_backup_is_judged_as_the_replica_would_be_that_it_becomes",),
    ),
    # 11: what does not follow is an error
    Mutation(
        trap=11,
        name="a backup of an abandoned timeline is taken",
        file="replicad/daemon/backups/base_choice.py",
        old="    Code.BEYOND_FORK: Fit.PASSED_OVER,\n",
        new="    Code.BEYOND_FORK: Fit.TAKEN,\n",
        caught_by=(f"{_CHOICE}::test_a_backup_is_judged_as_the_replica_would_be_that_it_becomes",),
    ),
    Mutation(
        trap=11,
        name="a gap between the archive and the primary's log is passed over in silence",
        file="replicad/replication/replica/follower.py",
        old="            self._restore_first.proposed_copy(decided.code, decided.reason)\n",
        new="            pass\n",
        caught_by=(f"{_RESTORING}::test_a_gap_after_the_archive_is_said_and_a_copy_follows",),
    ),
    # 14: restoring never deletes first
    Mutation(
        trap=14,
        name="a replica builds the restored database where its own belongs",
        file="replicad/backup/restore/ready_copy.py",
        old='        database = place / "database"\n',
        new="        database = place.parent\n",
        caught_by=(f"{_READY}::test_it_ends_where_the_log_ends",),
    ),
    Mutation(
        trap=14,
        name="the log after the backup is left out",
        file="replicad/backup/restore/ready_copy.py",
        old="        for chunk in read_line(self._target, self._pieces, self._meta.position):\n",
        new="        for chunk in read_line(self._target, (), self._meta.position):\n",
        caught_by=(f"{_READY}::test_it_ends_where_the_log_ends",),
    ),
    # 12: cancellation
    Mutation(
        trap=12,
        name="a restore goes on when its replica ends",
        file="replicad/backup/restore/ready_copy.py",
        old="            stop=self._stop,\n",
        new='            stop=OperationStop("nothing"),\n',
        caught_by=(f"{_READY}::test_an_interrupted_one_goes_on_with_what_was_verified",),
    ),
    # 23: a target can be another one than yesterday
    Mutation(
        trap=23,
        name="a target without backups counts as one of another database",
        file="replicad/daemon/backups/base_choice.py",
        old="    if there:\n",
        new="    if there is not None:\n",
        caught_by=(f"{_CHOICE}::test_a_target_without_any_backup_may_be_a_lost_mount",),
    ),
)
