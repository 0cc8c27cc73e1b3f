"""The log: when it is durable, and what recovery makes of it."""

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
        old="                progress.advance_durable(self._log.sync())\n",
        new="                try:\n"
        "                    progress.advance_durable(self._log.sync())\n"
        "                except OSError:\n"
        "                    progress.advance_durable(self._log.sync())\n",
        caught_by=("tests/store/test_durability.py::test_a_failed_sync_is_not_tried_again",),
    ),
    Mutation(
        trap=2,
        name="a failed sync does not stop the store",
        file="replicad/store/syncer.py",
        old='            progress.fail(PoisonedError(f"the log could not be synced',
        new='            PoisonedError((f"the log could not be synced',
        caught_by=("tests/store/test_durability.py::test_failed_sync_poisons",),
        hangs=True,
    ),
    Mutation(
        trap=2,
        name="a failed sync for the loop is taken for one that succeeded",
        file="replicad/store/loop_syncs.py",
        old="            if self._thread.error:\n                self._ask_lane()\n                return\n",
        new="",
        caught_by=("tests/store/test_loop_syncs.py::test_a_failed_sync_for_the_loop_poisons",),
    ),
    Mutation(
        trap=2,
        name="a file whose sync is not the system's is synced by its descriptor",
        file="replicad/env/local.py",
        old="        return self._fd if type(self).sync is LocalAppendFile.sync else None\n",
        new="        return self._fd\n",
        caught_by=("tests/env/test_local.py::test_a_file_that_syncs_otherwise_shows_no_descriptor",),
    ),
    Mutation(
        trap=9,
        name="what is written while the loop's sync runs is not synced after it",
        file="replicad/store/loop_syncs.py",
        old="            again, self._again = self._again, False\n",
        new="            again, self._again = False, False\n",
        caught_by=("tests/store/test_loop_syncs.py::test_a_group_forms_while_a_sync_runs",),
        hangs=True,
    ),
    Mutation(
        trap=2,
        name="log in doubt leaves no mark",
        file="replicad/store/wal/writer.py",
        old="                self.doubt()\n",
        new="                pass\n",
        caught_by=("tests/store/test_durability.py::test_log_whose_sync_failed_is_written_again",),
    ),
    Mutation(
        trap=2,
        name="log in doubt is synced again instead of written again",
        file="replicad/store/wal/doubt.py",
        old="                rewrite_file(fs, path)\n",
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
    Mutation(
        trap=2,
        name="a manifest in doubt does not stop the store",
        file="replicad/store/writable_core.py",
        old="            except OSError as error:\n"
        "                self.progress.fail(error)\n                raise\n"
        "            self.state = self.manifest.state\n",
        new="            except OSError:\n                raise\n"
        "            self.state = self.manifest.state\n",
        caught_by=("tests/store/test_roles.py::test_a_manifest_in_doubt_stops_the_store",),
    ),
    Mutation(
        trap=2,
        name="a failed sync of the log's directory counts as a success",
        file="replicad/store/wal/writer.py",
        old="            if unnamed:\n                self._fs.sync_directory(self.catalog.live)\n",
        new="            if unnamed:\n                try:\n"
        "                    self._fs.sync_directory(self.catalog.live)\n"
        "                except OSError:\n                    pass\n",
        caught_by=("tests/store/test_durability.py::test_a_sync_that_failed_elsewhere_poisons",),
    ),
    Mutation(
        trap=2,
        name="recovered log that could not be synced leaves no mark",
        file="replicad/store/wal/doubt.py",
        old="    except OSError:\n        doubt(fs, live)\n        raise\n",
        new="    except OSError:\n        raise\n",
        caught_by=("tests/store/test_durability.py::test_recovered_log_whose_sync_failed_is_written_again",),
    ),
    # 3: recovered is not durable
    Mutation(
        trap=3,
        name="recovered log is served without a sync",
        file="replicad/store/open/opening.py",
        old="    sync_log(fs, [segment.path for segment in needed], wal)\n",
        new="    pass\n",
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
        file="replicad/store/open/steps.py",
        old='None if core.role == "replica" or core.state.copy else core.state.owned.sequence',
        new="core.state.owned.sequence",
        caught_by=("tests/store/test_recovery.py::test_damage_below_the_bound_stops_a_primary",),
    ),
    Mutation(
        trap=4,
        name="a log that ends before what was synced opens",
        file="replicad/store/wal/recovery.py",
        old="    if position != synced and position.sequence <= synced.sequence:\n",
        new="    if False:\n",
        caught_by=("tests/store/test_recovery.py::test_missing_tail_is_noticed",),
    ),
    Mutation(
        trap=4,
        name="a read error is a torn tail",
        file="replicad/store/wal/frames.py",
        old='        return self._read(self.offset, min(window_bytes, left)) if left > 0 else b""\n',
        new="        try:\n"
        "            return self._read(self.offset, min(window_bytes, left))\n"
        "        except OSError:\n"
        '            return b""\n',
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
    Mutation(
        trap=4,
        name="a clean close does not say how far the log was durable",
        file="replicad/store/open/closing.py",
        old="Edit(synced=core.log.written, next_file=core.numbers.next)",
        new="Edit(next_file=core.numbers.next)",
        caught_by=("tests/store/test_recovery.py::test_missing_tail_is_noticed",),
    ),
    Mutation(
        trap=4,
        name="a record of the manifest may be in any place",
        file="replicad/store/manifest/file.py",
        old="    return kernels.crc32c(payload, kernels.crc32c(database_id + offset.to_bytes(8, "
        '"little")))\n',
        new="    return kernels.crc32c(payload, kernels.crc32c(database_id))\n",
        caught_by=("tests/store/manifest/test_manifest.py::test_a_record_in_another_place_is_damage",),
    ),
    # 9: acknowledged and shipped is only what is durable
    Mutation(
        trap=9,
        name="a put is acknowledged before its sync",
        file="replicad/store/write/write_path.py",
        old="        if wait and self._waits_for_sync:\n",
        new="        if False:\n",
        caught_by=("tests/store/test_durability.py::test_failed_sync_poisons",),
    ),
    Mutation(
        trap=9,
        name="durable is what was written when the sync ended",
        file="replicad/store/wal/writer.py",
        old="        return noted.target\n",
        new="        return self.written\n",
        caught_by=("tests/store/test_durability.py::test_what_is_written_during_a_sync_waits_for_the_next",),
    ),
    Mutation(
        trap=9,
        name="durable is what was written when the loop's sync ended",
        file="replicad/store/loop_syncs.py",
        old="        self._progress.advance_durable(noted.target)\n",
        new="        self._progress.advance_durable(self._log.written)\n",
        caught_by=("tests/store/test_loop_syncs.py::test_a_group_forms_while_a_sync_runs",),
    ),
    Mutation(
        trap=9,
        name="a replica's sync that somebody waits for takes its time",
        file="replicad/replication/replica/receiver.py",
        old="            self._intake.hurry_sync()\n",
        new="            pass\n",
        caught_by=("tests/replication/test_stream.py::test_what_somebody_waits_for_is_synced_at_once",),
    ),
    Mutation(
        trap=9,
        name="written is visible under sync",
        file="replicad/store/core.py",
        old='            visible_when_durable=options.durability == "sync" and role == "owner",\n',
        new="            visible_when_durable=False,\n",
        caught_by=("tests/store/test_durability.py::test_sync_shows_only_what_is_durable",),
    ),
    Mutation(
        trap=9,
        name="a column family is visible before it is durable",
        file="replicad/store/progress.py",
        old="        self.appended = sequence\n        if not self.visible_when_durable:\n",
        new="        self.appended = sequence\n        if True:\n",
        caught_by=("tests/store/test_durability.py::test_a_family_is_there_when_it_is_durable",),
    ),
    Mutation(
        trap=9,
        name="readers of the log see what is written",
        file="replicad/store/write/write_path.py",
        old="        progress = self._progress\n        if not self._waits_for_sync or not wait:\n",
        new="        progress, log = self._progress, self._log\n"
        "        if log._segment is not None and log.live_file is not None:\n"
        "            log._segment.end = (log.live_file.size, sequence)\n"
        "        if not self._waits_for_sync or not wait:\n",
        caught_by=("tests/store/test_durability.py::test_async_ships_only_what_is_durable",),
    ),
    Mutation(
        trap=9,
        name="readers of the log see a column family's record that is only written",
        file="replicad/store/wal/writer.py",
        old="            return file.append(self.frames.pending()) >= self.segment_bytes\n",
        new="            size = file.append(self.frames.pending())\n"
        "            assert self._segment is not None\n"
        "            self._segment.end = (size, self.written.sequence)\n"
        "            return size >= self.segment_bytes\n",
        caught_by=("tests/store/test_durability.py::test_a_family_is_there_when_it_is_durable",),
    ),
    Mutation(
        trap=9,
        name="a table is published before its log is durable",
        file="replicad/store/background/lanes.py",
        old="            self._syncer.sync_through(core.version.sealed[-1].position.sequence)\n",
        new="            pass\n",
        caught_by=("tests/store/test_durability.py::test_a_table_waits_until_its_log_is_durable",),
    ),
    Mutation(
        trap=9,
        name="conditions are judged by what is visible",
        file="replicad/store/write/write_path.py",
        old="            check_conditions(self.core, conditions, at)\n",
        new="            check_conditions(self.core, conditions, progress.visible)\n",
        caught_by=("tests/store/write/test_conditions.py::test_what_is_not_durable_yet_counts",),
    ),
)
