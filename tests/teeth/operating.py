"""What an operator relies on: a log that holds nobody, promotions that lose nothing, fences with a proof,
a lag that is true, a directory that is still the node's own."""

from __future__ import annotations

from tests.teeth.mutation import Mutation

LOG_STREAM = "tests/daemon/test_log_stream.py::"
PROMOTIONS = "tests/daemon/test_promotions.py::"
TAKING = "tests/daemon/test_taking_a_role.py::"
DIVERGENCE = "tests/daemon/test_divergence.py::"
PEERS = "tests/daemon/test_peers.py::"

OPERATING = (
    # 9: acknowledged is only what is durable, and stays so through a promotion
    Mutation(
        trap=9,
        name="a replica is promoted though another has more",
        file="replicad/replication/roles.py",
        old="    if around.further is not None:\n        reason",
        new="    if False:\n        reason",
        caught_by=(f"{PROMOTIONS}test_a_replica_is_not_promoted_while_another_has_more",),
    ),
    Mutation(
        trap=9,
        name="only a higher epoch is further",
        file="replicad/replication/roles.py",
        old="    return (there.epoch, there.sequence) > (here.epoch, here.sequence)\n",
        new="    return there.epoch > here.epoch\n",
        caught_by=("tests/replication/test_roles.py::test_who_has_what_another_lacks",),
    ),
    Mutation(
        trap=9,
        name="a replica that does not answer has nothing",
        file="replicad/daemon/certainty.py",
        old="        around = Around(silent=self._silent(asked))\n",
        new="        around = Around()\n",
        caught_by=(f"{PROMOTIONS}test_a_replica_that_cannot_be_asked_is_named",),
    ),
    Mutation(
        trap=9,
        name="replicas are not told of each other",
        file="replicad/replication/primary.py",
        old="            session.connection.send(Nodes(others, gone))\n",
        new="            pass\n",
        caught_by=(f"{PROMOTIONS}test_a_replica_is_not_promoted_while_another_has_more",),
    ),
    Mutation(
        trap=9,
        name="a replica that connects later is not told to the others",
        file="replicad/daemon/program.py",
        old="            self.holding.feed.tell_nodes()\n",
        new="            pass\n",
        caught_by=(f"{PROMOTIONS}test_replicas_hear_of_each_other_and_of_who_was_dropped",),
    ),
    Mutation(
        trap=9,
        name="a node that is told to follow discards without a word",
        file="replicad/daemon/role_changes.py",
        old="            self._check_loss(found, other)\n",
        new="",
        caught_by=(f"{PROMOTIONS}test_a_forced_promotion_says_what_another_has",),
    ),
    Mutation(
        trap=9,
        name="a role is taken from a primary that lives",
        file="replicad/daemon/program.py",
        old="                await self.roles.promote(force=False)\n",
        new="                await self.roles.promote(force=True)\n",
        caught_by=(f"{TAKING}test_a_role_is_not_taken_from_a_primary_that_lives",),
    ),
    Mutation(
        trap=9,
        name="a key in the configuration takes the role at every start",
        file="replicad/replication/roles.py",
        old="    return flag or (key and (record is None or not record.took_role))\n",
        new="    return flag or key\n",
        caught_by=(f"{TAKING}test_a_key_in_the_configuration_is_tried_once",),
    ),
    Mutation(
        trap=9,
        name="a primary is made a replica of any node",
        file="replicad/daemon/role_changes.py",
        old="is not Verdict.FENCE:\n                raise RoleRefused(",
        new="is None:\n                raise RoleRefused(",
        caught_by=(f"{TAKING}test_a_primary_does_not_follow_a_node_that_is_not_above_it",),
    ),
    # 11: gaps, and histories that are two
    Mutation(
        trap=11,
        name="a replica of another history serves reads",
        file="replicad/daemon/verification.py",
        old="        if self.record.diverged is not None:\n            return DIVERGED\n",
        new="",
        caught_by=(f"{DIVERGENCE}test_a_replica_of_another_history_refuses_reads",),
    ),
    Mutation(
        trap=11,
        name="that its history is another is forgotten over a restart",
        file="replicad/daemon/verification.py",
        old="            self._set(diverged=None if reason is None else reason[:1000])\n",
        new="            self.record = replace(self.record, diverged=reason and reason[:1000])\n",
        caught_by=(f"{DIVERGENCE}test_a_replica_of_another_history_refuses_reads",),
    ),
    Mutation(
        trap=11,
        name="a primary that is behind its replica has its history",
        file="replicad/replication/agree.py",
        old="        return follows_primary\n",
        new="        return False\n",
        caught_by=(f"{DIVERGENCE}test_a_primary_that_is_behind_its_replica_has_another_history",),
    ),
    Mutation(
        trap=9,
        name="a lag is counted from what was received",
        file="replicad/replication/freshness.py",
        old="newest_age_seconds is None or newest_age_seconds > HEARTBEATS * heartbeat_seconds",
        new="False",
        caught_by=("tests/replication/test_freshness.py::test_a_lag_is_what_the_primary_said_lately",),
    ),
    Mutation(
        trap=9,
        name="a replica of unknown age is fresh",
        file="replicad/server/http.py",
        old="(staleness is None or staleness > staleness_max)",
        new="(staleness or 0) > staleness_max",
        caught_by=("tests/server/test_http.py::test_a_replica_is_asked_how_old_its_data_is",),
    ),
    # 26: a claim of a peer
    Mutation(
        trap=26,
        name="a node's address is what anybody says",
        file="replicad/daemon/peers.py",
        old="        elif known is None or not known.is_proven:\n",
        new="        else:\n",
        caught_by=(f"{PEERS}test_who_only_says_who_he_is_takes_no_proven_nodes_place",),
    ),
    Mutation(
        trap=26,
        name="many that say they are nodes push out the real ones",
        file="replicad/daemon/peers.py",
        old="            if least.is_proven and not peer.is_proven:\n                return\n",
        new="",
        caught_by=(f"{PEERS}test_who_only_says_who_he_is_takes_no_proven_nodes_place",),
    ),
    # 27: log output
    Mutation(
        trap=27,
        name="events are written by who has them to say",
        file="replicad/daemon/logs.py",
        old="        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _stream)),\n",
        new="        logger_factory=structlog.WriteLoggerFactory(sys.__stderr__),\n",
        caught_by=(f"{LOG_STREAM}test_whatever_a_process_says_on_standard_error_goes_through_it",),
        hangs=True,
    ),
    Mutation(
        trap=27,
        name="libraries write on standard error themselves",
        file="replicad/daemon/logs.py",
        old="    sys.stderr = _stream\n",
        new="",
        caught_by=(f"{LOG_STREAM}test_whatever_a_process_says_on_standard_error_goes_through_it",),
        hangs=True,
    ),
    Mutation(
        trap=27,
        name="lines that nobody reads are kept without bound",
        file="replicad/daemon/log_stream.py",
        old="        if len(self._lines) >= LINES_MAX:\n",
        new="        if False:\n",
        caught_by=(f"{LOG_STREAM}test_a_reader_that_stands_still_holds_nobody",),
    ),
    Mutation(
        trap=27,
        name="a full disk ends the log for good",
        file="replicad/daemon/log_stream.py",
        old="            except OSError:\n                return False\n",
        new="            except OSError:\n                raise\n",
        caught_by=(f"{LOG_STREAM}test_lines_that_cannot_be_written_are_counted_and_said_later",),
    ),
    Mutation(
        trap=27,
        name="lines are lost without a word",
        file="replicad/daemon/log_stream.py",
        old="            if lost:\n",
        new="            if False:\n",
        caught_by=(f"{LOG_STREAM}test_lines_that_cannot_be_written_are_counted_and_said_later",),
    ),
    # 30: directories vanish under running processes
    Mutation(
        trap=30,
        name="any file under the lock's name is the lock",
        file="replicad/env/local.py",
        old="self._fd >= 0 and os.path.samestat(found, os.fstat(self._fd))",
        new="self._fd >= 0 and found is not None",
        caught_by=("tests/daemon/test_directory_watch.py::test_a_lock_knows_its_file",),
    ),
    Mutation(
        trap=30,
        name="a log that is removed is not missed",
        file="replicad/store/presence.py",
        old="    if segment is not None and not",
        new="    if False and segment is not None and not",
        caught_by=(
            "tests/daemon/test_directory_watch.py::test_a_node_whose_directory_is_gone_acknowledges_nothing",
        ),
    ),
    Mutation(
        trap=30,
        name="a node whose directory is gone goes on until it has ended",
        file="replicad/daemon/directory_watch.py",
        old="        store.poison(reason)\n",
        new="        pass\n",
        caught_by=(
            "tests/daemon/test_directory_watch.py::test_a_node_whose_directory_is_gone_acknowledges_nothing",
        ),
    ),
    Mutation(
        trap=30,
        name="nobody looks whether the directory is there",
        file="replicad/daemon/program.py",
        old="                node.watch_directory(),\n",
        new="",
        caught_by=(
            "tests/integration/test_processes.py::test_a_node_whose_directory_is_removed_ends_within_a_second",
        ),
        hangs=True,
    ),
)
