"""The log: when it is durable, what recovery makes of it, and what readers of it are told."""

from __future__ import annotations

from tests.teeth.mutation import Mutation


def crash(workload: str) -> str:
    return f"tests/crash/test_crash.py::test_every_state_recovers[{workload}]"


LOG = (
    # 2: a failed sync
    Mutation(
        trap=2,
        name="a failed sync is tried once more",
        file="replicad/store/syncer.py",
        old="            position = self._log.sync()\n",
        new="            try:\n                position = self._log.sync()\n"
        "            except OSError:\n                position = self._log.sync()\n",
        caught_by=("tests/store/test_durability.py::test_a_failed_sync_is_not_tried_again",),
    ),
    Mutation(
        trap=2,
        name="a failed sync does not stop the store",
        file="replicad/store/syncer.py",
        old="            self._progress.fail(failure)\n            raise failure from error\n",
        new="            raise failure from error\n",
        caught_by=("tests/store/test_durability.py::test_failed_sync_poisons",),
        hangs=True,
    ),
    Mutation(
        trap=2,
        name="log in doubt leaves no mark",
        file="replicad/store/wal/writer.py",
        old="                doubt(self._fs, self.catalog.live)\n",
        new="                pass\n",
        caught_by=("tests/store/test_durability.py::test_log_whose_sync_failed_is_written_again",),
    ),
    Mutation(
        trap=2,
        name="log in doubt is synced again instead of written again",
        file="replicad/store/wal/doubt.py",
        old="                _write_again(fs, path)\n",
        new="                fs.sync_file(path)\n",
        caught_by=("tests/store/test_durability.py::test_log_whose_sync_failed_is_written_again",),
    ),
    Mutation(
        trap=2,
        name="a failed sync ends the daemon with the code of any failure",
        file="replicad/cli/exits.py",
        old="STORAGE_FAILED = 74\n",
        new="STORAGE_FAILED = 1\n",
        caught_by=("tests/integration/test_processes.py::test_a_failed_sync_ends_the_primary_with_74",),
    ),
    # 3: recovered is not durable
    Mutation(
        trap=3,
        name="recovered log is served without a sync",
        file="replicad/store/opening.py",
        old="        sync_log(fs, [segment.path for segment in needed], wal)\n",
        new="        pass\n",
        caught_by=(crash("put"),),
    ),
    Mutation(
        trap=3,
        name="the names of recovered log are not synced",
        file="replicad/store/wal/doubt.py",
        old="        fs.sync_directory(live)\n",
        new="",
        caught_by=(crash("put"),),
    ),
    # 4: torn tail or corruption
    Mutation(
        trap=4,
        name="every damage is a torn tail",
        file="replicad/store/wal/recovery.py",
        old="    if damaged <= proof:\n",
        new="    if False:\n",
        caught_by=("tests/store/test_recovery.py::test_damage_below_the_bound_stops_a_primary",),
    ),
    Mutation(
        trap=4,
        name="every damage is corruption",
        file="replicad/store/wal/recovery.py",
        old="    if damaged <= proof:\n",
        new="    if True:\n",
        caught_by=("tests/store/test_recovery.py::test_cut_at_every_byte",),
    ),
    Mutation(
        trap=4,
        name="what later frames say was durable is not looked at",
        file="replicad/store/wal/recovery.py",
        old="        proof = max([proof, *found])\n",
        new="        pass\n",
        caught_by=("tests/store/test_recovery.py::test_damage_below_the_bound_stops_a_primary",),
    ),
    Mutation(
        trap=4,
        name="what a former primary called durable binds its replica",
        file="replicad/store/opening.py",
        old='None if core.role == "replica" or core.state.copy else core.state.owned.sequence',
        new="core.state.owned.sequence",
        caught_by=("tests/store/test_recovery.py::test_damage_below_the_bound_stops_a_primary",),
    ),
    Mutation(
        trap=4,
        name="a log that ends before what was synced opens",
        file="replicad/store/wal/recovery.py",
        old="    if position.sequence < bounds.synced:\n",
        new="    if False:\n",
        caught_by=("tests/store/test_recovery.py::test_missing_tail_is_noticed",),
    ),
    Mutation(
        trap=4,
        name="a read error is a torn tail",
        file="replicad/store/wal/recovery.py",
        old="                data = file.read(self.offset, min(want, size - self.offset))\n",
        new="                try:\n"
        "                    data = file.read(self.offset, min(want, size - self.offset))\n"
        "                except OSError as error:\n"
        "                    self.damage = str(error)\n"
        "                    return\n",
        caught_by=("tests/store/test_recovery.py::test_an_unreadable_log_is_no_torn_tail",),
    ),
    Mutation(
        trap=4,
        name="a torn tail is not kept aside",
        file="replicad/store/wal/recovery.py",
        old="        _copy_tail(fs, torn.path, aside, torn.offset)\n",
        new="        pass\n",
        caught_by=("tests/store/test_leftovers.py::test_torn_tails_do_not_pile_up",),
    ),
    # 9: acknowledged and shipped is only what is durable
    Mutation(
        trap=9,
        name="a put is acknowledged before its sync",
        file="replicad/store/write_path.py",
        old="            if wait:\n                self._syncer.sync_through(Sequence(sequence))\n",
        new="            if False:\n                pass\n",
        caught_by=("tests/store/test_durability.py::test_failed_sync_poisons",),
    ),
    Mutation(
        trap=9,
        name="durable is what was written when the sync ended",
        file="replicad/store/wal/writer.py",
        old="        return target\n",
        new="        return self.written\n",
        caught_by=("tests/store/test_durability.py::test_what_is_written_during_a_sync_waits_for_the_next",),
    ),
    Mutation(
        trap=9,
        name="written is visible under sync",
        file="replicad/store/progress.py",
        old="        self.appended = sequence\n        if not self.visible_when_durable:\n",
        new="        self.appended = sequence\n        if True:\n",
        caught_by=("tests/store/test_durability.py::test_sync_shows_only_what_is_durable",),
    ),
    Mutation(
        trap=9,
        name="readers of the log see what is written",
        file="replicad/store/wal/writer.py",
        old="            return file.append(self.frames.pending()) >= self.segment_bytes\n",
        new="            size = file.append(self.frames.pending())\n"
        "            assert self._segment is not None\n"
        "            self._segment.end = (size, self.written.sequence)\n"
        "            return size >= self.segment_bytes\n",
        caught_by=(crash("asynchronous"),),
    ),
    Mutation(
        trap=9,
        name="a table is published before its log is durable",
        file="replicad/store/background.py",
        old="        core.syncer.sync_through(sealed.position.sequence)\n",
        new="        pass\n",
        caught_by=(crash("flush_beside_writer"),),
    ),
    Mutation(
        trap=9,
        name="a promotion does not wait for the record of its epoch",
        file="replicad/store/roles.py",
        old="            _sync_through(core, writes.begin_epoch(record))\n        except DiskFullError:\n",
        new="            writes.begin_epoch(record)\n        except DiskFullError:\n",
        caught_by=("tests/store/test_roles.py::test_a_promoted_replica_takes_writes_in_a_new_epoch",),
    ),
    # 11: gaps
    Mutation(
        trap=11,
        name="frames that do not follow are applied as far as they go",
        file="replicad/store/write_path.py",
        old="            if scan.stop != kernels.SCAN_END:\n"
        "                raise self._why_refused(scan, data)\n",
        new="",
        caught_by=("tests/store/test_checkpoint.py::test_replica_refuses_gaps_and_other_histories",),
    ),
    Mutation(
        trap=11,
        name="recovery goes on after a missing segment",
        file="replicad/store/wal/recovery.py",
        old="        if segment.header.previous.sequence > position.sequence:\n",
        new="        if False:\n",
        caught_by=("tests/store/test_recovery.py::test_missing_segment_is_a_gap",),
    ),
    Mutation(
        trap=11,
        name="who asks for log that is gone gets what there is",
        file="replicad/store/wal/catalog.py",
        old="            if at < 0:\n"
        "                raise LogGoneError(sequence, self._first_sequence(sequence))\n",
        new="            if at < 0:\n                return self._segments[0]\n",
        caught_by=("tests/store/test_updates.py::test_gone",),
    ),
    # 12: cancellation and partial appends
    Mutation(
        trap=12,
        name="after a failed append the store goes on",
        file="replicad/store/wal/writer.py",
        old='            raise PoisonedError(f"{file.path}: append failed: {error}") from error\n',
        new='            raise DiskFullError(f"{file.path}: append failed: {error}") from error\n',
        caught_by=("tests/store/test_durability.py::test_append_error_poisons",),
    ),
    Mutation(
        trap=12,
        name="half a frame stays in the log",
        file="replicad/store/wal/writer.py",
        old="            file.discard_tail()\n        except OSError as second:\n",
        new="            pass\n        except OSError as second:\n",
        caught_by=("tests/faults/test_faults.py::test_an_error_or_a_success_never_a_lie",),
    ),
    Mutation(
        trap=12,
        name="a refused frame stays pending",
        file="replicad/store/wal/writer.py",
        old="        assert file is not None\n        self.frames.rollback()\n",
        new="        assert file is not None\n",
        caught_by=("tests/store/test_durability.py::test_full_disk_refuses_and_heals",),
    ),
    Mutation(
        trap=12,
        name="a cancelled caller does not wait for its thread",
        file="replicad/replication/tasks.py",
        old="        while not job.done():\n",
        new="        while False:\n",
        caught_by=("tests/replication/test_tasks.py::test_a_cancelled_caller_waits_for_its_thread",),
    ),
)
