"""Restores, installed copies and rewinding: what goes when, and what a copy is that takes writes."""

from __future__ import annotations

from tests.teeth.log import crash
from tests.teeth.mutation import Mutation

RESTORING = (
    # 14: restoring never deletes first
    Mutation(
        trap=14,
        name="installing removes the old tables first",
        file="replicad/store/copies/checkpoint.py",
        old="    tables = []\n",
        new="    tables = []\n    for stale in old:\n        fs.unlink(directory / stale)\n",
        caught_by=(crash("bootstrap"),),
    ),
    Mutation(
        trap=14,
        name="installing removes the old log first",
        file="replicad/store/copies/checkpoint.py",
        old="    write_state(fs, directory, state)\n    remove_log(fs, wal)\n",
        new="    remove_log(fs, wal)\n    write_state(fs, directory, state)\n",
        caught_by=(crash("bootstrap"),),
    ),
    Mutation(
        trap=14,
        name="an installed copy does not say that it replaced the log",
        file="replicad/store/copies/checkpoint.py",
        old="        log_replaced=True,\n",
        new="",
        caught_by=("tests/store/test_replaced_log.py::test_a_copy_takes_the_place_of_a_longer_history",),
    ),
    Mutation(
        trap=14,
        name="opening does not remove the log that a copy replaced",
        file="replicad/store/open/opening.py",
        old='        remove_stale_log(fs, (wal, path / "archive"), state)\n',
        new="",
        caught_by=("tests/store/test_replaced_log.py::test_a_copy_takes_the_place_of_a_longer_history",),
    ),
    Mutation(
        trap=14,
        name="a copy that is opened for writing keeps its id",
        file="replicad/store/open/opening.py",
        old='            if core.state.copy and role == "owner":\n',
        new="            if False:\n",
        caught_by=("tests/store/copies/test_checkpoint.py::test_opens_beside_the_original",),
    ),
    Mutation(
        trap=14,
        name="a restore clears the destination first",
        file="replicad/backup/restore/operation.py",
        old='            built = destination.staging / "database"\n',
        new="            for name in env.fs.list(destination.path):\n"
        '                if name.endswith(".sst"):\n'
        "                    env.fs.unlink(destination.path / name)\n"
        '            built = destination.staging / "database"\n',
        caught_by=("tests/backup/restore/test_crashes.py::test_death_at_every_operation",),
    ),
    Mutation(
        trap=14,
        name="a restore removes CURRENT first",
        file="replicad/backup/restore/operation.py",
        old="            put_in_place(env, built, destination, files[options[0]] if options else None)\n",
        new='            env.fs.remove_tree(destination.path / "CURRENT")\n'
        "            put_in_place(env, built, destination, files[options[0]] if options else None)\n",
        caught_by=("tests/backup/restore/test_crashes.py::test_death_at_every_operation",),
    ),
    Mutation(
        trap=14,
        name="a replaced file is removed before its successor is there",
        file="replicad/env/atomic.py",
        old="    fs.rename(staged, path)\n    fs.sync_directory(path.parent)\n",
        new="    fs.unlink(path)\n    fs.rename(staged, path)\n    fs.sync_directory(path.parent)\n",
        caught_by=("tests/env/test_atomic.py::test_a_replaced_file_is_the_old_or_the_new_one",),
    ),
    Mutation(
        trap=14,
        name="a copy that is written does not record its parent",
        file="replicad/store/open/opening.py",
        old="        parent=Parent(database_id=core.database_id, fork=position),\n",
        new="",
        caught_by=(
            "tests/store/copies/test_checkpoint.py::test_a_copy_that_is_written_says_of_what_it_was_one",
        ),
    ),
    Mutation(
        trap=14,
        name="a copy that is written keeps the log of its original",
        file="replicad/store/open/opening.py",
        old="        log_start=position,\n        owned=position,\n",
        new="        owned=position,\n",
        caught_by=(
            "tests/store/copies/test_checkpoint.py::test_a_copy_that_is_written_says_of_what_it_was_one",
        ),
    ),
    Mutation(
        trap=14,
        name="a node that follows is no copy",
        file="replicad/store/open/opening.py",
        old='    copy = True if core.role == "replica" else None\n',
        new="    copy = None\n",
        caught_by=("tests/store/test_roles.py::test_who_followed_does_not_write_on_in_that_database",),
    ),
    Mutation(
        trap=14,
        name="a restore takes any manifest for its own",
        file="replicad/backup/restorable.py",
        old="    if found != expected:\n",
        new="    if False:\n",
        caught_by=("tests/backup/restore/test_build.py::test_what_does_not_fit_is_refused",),
    ),
    Mutation(
        trap=14,
        name="a restore does not hold its manifest against its list",
        file="replicad/backup/restorable.py",
        old="        if (table.name, table.size_bytes, table.sha256) not in listed:\n",
        new="        if False:\n",
        caught_by=("tests/backup/restore/test_build.py::test_what_does_not_fit_is_refused",),
    ),
    Mutation(
        trap=14,
        name="a restore ends wherever its log does",
        file="replicad/backup/restore/swap.py",
        old="        if database.position != meta.position:\n",
        new="        if False:\n",
        caught_by=("tests/backup/restore/test_build.py::test_what_does_not_fit_is_refused",),
    ),
    Mutation(
        trap=14,
        name="changed attachments are in place before their database",
        file="replicad/backup/restore/operation.py",
        old="            places.put_in_place(env.fs, place, staged, replacing=False)\n",
        new="            places.put_in_place(env.fs, place, staged, replacing=False)\n"
        "            places.put_in_place(env.fs, place, staged, replacing=True)\n",
        caught_by=("tests/backup/restore/test_crashes.py::test_death_at_every_operation",),
    ),
    Mutation(
        trap=14,
        name="a rewind removes the oldest log first",
        file="replicad/store/open/rewind.py",
        old="        for segment in reversed(beyond):\n",
        new="        for segment in beyond:\n",
        caught_by=("tests/store/open/test_rewind.py::test_a_kill_while_segments_go_leaves_no_gap",),
    ),
    Mutation(
        trap=14,
        name="a rewind cuts log before the manifest says so",
        file="replicad/store/open/rewind.py",
        old="        write_state(fs, path, replace(state, synced=position, copy=True, "
        "epochs=epochs))\n        remove_stale_manifests(fs, path)\n"
        "        for segment in reversed(beyond):\n"
        "            fs.unlink(segment.path)\n",
        new="        for segment in reversed(beyond):\n"
        "            fs.unlink(segment.path)\n"
        "        write_state(fs, path, replace(state, synced=position, copy=True, "
        "epochs=epochs))\n        remove_stale_manifests(fs, path)\n",
        caught_by=("tests/store/open/test_rewind.py::test_a_kill_while_segments_go_leaves_no_gap",),
    ),
    Mutation(
        trap=14,
        name="a tail is cut off without being saved",
        file="replicad/daemon/data/node_data.py",
        old="            await self.save_after(fork)\n            await self.delay.forget()\n",
        new="            await self.delay.forget()\n",
        caught_by=(
            "tests/integration/test_roles.py::test_a_tail_that_reached_tables_is_saved_and_replaced_by_a_copy",
        ),
    ),
)
