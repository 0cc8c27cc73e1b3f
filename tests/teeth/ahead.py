"""Log that is sent before it is durable, and what a primary does that may have lost some."""

from __future__ import annotations

from tests.teeth.mutation import Mutation

SESSIONS = "tests/replication/test_sent_ahead.py"
RECORD = "tests/daemon/roles/test_sent_ahead.py"
TABLES = "tests/replication/policy/test_lost_tail.py"
PROCESSES = "tests/integration/test_lost_tails.py"

AHEAD = (
    # 9: acknowledged and shipped is only what is durable
    Mutation(
        trap=9,
        name="a replica that wants durable log gets what is written",
        file="replicad/replication/primary/node.py",
        old="        return takes_written and self._ahead.is_allowed\n",
        new="        return self._ahead.is_allowed\n",
        caught_by=(f"{SESSIONS}::test_a_replica_gets_only_what_is_durable",),
    ),
    Mutation(
        trap=9,
        name="what is written is sent before the record of that",
        file="replicad/daemon/roles/sent_ahead.py",
        old="            record is not None\n            and record.ahead_epoch == self._store.epoch\n",
        new="            True\n            or record.ahead_epoch == self._store.epoch\n",
        caught_by=(f"{RECORD}::test_a_primary_records_the_epoch_first",),
    ),
    Mutation(
        trap=9,
        name="the first frame of an epoch is sent before it is durable",
        file="replicad/daemon/roles/sent_ahead.py",
        old="_REPLICAS = frozenset({Standing.FOLLOWING, Standing.FENCED})\n",
        new="_REPLICAS = frozenset({Standing.FOLLOWING, Standing.FENCED, Standing.PROMOTING})\n",
        caught_by=(f"{RECORD}::test_without_a_record",),
    ),
    Mutation(
        trap=9,
        name="a stop in the middle of the search forgets it",
        file="replicad/daemon/roles/sent_ahead.py",
        old='        if record.role == "replica" or store.role == "owner":\n',
        new="        if True:\n",
        caught_by=(f"{PROCESSES}::test_a_search_that_was_cut_short_is_begun_again",),
    ),
    Mutation(
        trap=9,
        name="a clean stop does not clear the record of what was sent",
        file="replicad/daemon/program.py",
        old="                await self.parts.ahead.forget(store)\n",
        new="                pass\n",
        caught_by=(f"{RECORD}::test_a_clean_stop_leaves_no_record",),
    ),
    # 3: recovered is not durable
    Mutation(
        trap=3,
        name="a primary that lost its tail goes on in the same epoch",
        file="replicad/daemon/program.py",
        old='        lost = begin.role == "primary" and self._may_have_lost(stored)\n',
        new="        lost = False\n",
        caught_by=(f"{PROCESSES}::test_a_replica_that_could_not_be_asked_saves_its_tail",),
    ),
    Mutation(
        trap=3,
        name="a loss of power is taken for a kill",
        file="replicad/replication/policy/lost_tail.py",
        old="    return record.ahead_boot != boot_id or doubted\n",
        new="    return doubted\n",
        caught_by=(f"{TABLES}::test_when_a_primary_may_have_lost_what_it_sent",),
    ),
    Mutation(
        trap=3,
        name="after a failed sync the page cache is believed",
        file="replicad/replication/policy/lost_tail.py",
        old="    return record.ahead_boot != boot_id or doubted\n",
        new="    return record.ahead_boot != boot_id\n",
        caught_by=(f"{TABLES}::test_when_a_primary_may_have_lost_what_it_sent",),
    ),
    # 10: the older primary must not wipe its replicas
    Mutation(
        trap=10,
        name="a primary does not take back what a replica has",
        file="replicad/daemon/roles/lost_tail.py",
        old="        where = furthest(survey.view(), views, self._gave_nothing)\n",
        new="        where = None\n",
        caught_by=(f"{PROCESSES}::test_a_replica_gives_back_what_its_primary_lost",),
    ),
    Mutation(
        trap=10,
        name="a tail is taken back of another epoch",
        file="replicad/replication/policy/lost_tail.py",
        old="        and other.position.epoch == me.position.epoch\n",
        new="",
        caught_by=(f"{TABLES}::test_who_gives_a_tail_back",),
    ),
    Mutation(
        trap=10,
        name="replicas follow a primary that looks for its tail",
        file="replicad/daemon/replication_sessions.py",
        old="            elif self._lost_tail.is_sought:\n",
        new="            elif False:\n",
        caught_by=(f"{RECORD}::test_nobody_follows_a_primary_that_looks_for_its_tail",),
    ),
    Mutation(
        trap=10,
        name="a replica that has more than is durable is taken for another history",
        file="replicad/replication/primary/node.py",
        old="        me = History(source.database_id, self.newest, source.epochs)\n",
        new="        me = History(source.database_id, source.durable_position, source.epochs)\n",
        caught_by=(f"{SESSIONS}::test_a_replica_that_has_more_than_is_durable_follows",),
    ),
    Mutation(
        trap=10,
        name="a promotion takes the number that the former primary may take",
        file="replicad/daemon/roles/promotion.py",
        old="newest + STEP)",
        new="newest + 1)",
        caught_by=("tests/daemon/test_taking_a_role.py::test_a_role_is_taken_when_the_primary_is_dead",),
    ),
    Mutation(
        trap=10,
        name="a primary that was fenced while it looked for its tail lets no replica in",
        file="replicad/daemon/roles/lost_tail.py",
        old="        if self._standing.current is not Standing.DOUBTING:\n            self.is_sought",
        new="        if self._standing.current is Standing.PRIMARY:\n            self.is_sought",
        caught_by=(f"{RECORD}::test_a_fence_ends_the_search",),
    ),
    # 11: gaps
    Mutation(
        trap=11,
        name="a reader of written log stops at a segment that is not durable",
        file="replicad/store/wal/cursor.py",
        old="        return segment.sealed or (self.written and segment.left)\n",
        new="        return segment.sealed\n",
        caught_by=("tests/store/wal/test_written_log.py",),
    ),
    # 15: slots
    Mutation(
        trap=15,
        name="a slot goes on behind the end of the log",
        file="replicad/replication/primary/slots.py",
        old="                if slot.sequence > newest:\n",
        new="                if False:\n",
        caught_by=("tests/replication/primary/test_slots.py::test_no_slot_begins_after_the_end_of_the_log",),
    ),
)
