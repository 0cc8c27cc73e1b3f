"""Copies: checkpoints, bootstraps, backups and restores, and what tells one file from another."""

from __future__ import annotations

from tests.teeth.log import crash
from tests.teeth.mutation import Mutation

STAGING = "tests/replication/test_staging.py::"

COPIES = (
    # 5: two stores cannot commit together
    Mutation(
        trap=5,
        name="log that does not join the manifest is replayed",
        file="replicad/store/wal/recovery.py",
        old="        if found != self.position:\n",
        new="        if False:\n",
        caught_by=("tests/store/test_torn_segments.py::test_log_of_another_history_is_refused",),
    ),
    Mutation(
        trap=5,
        name="a manifest is replayed without its log",
        file="replicad/store/opening.py",
        old="    recovered = _replay_into(core, segments, headless)\n",
        new="    recovered = _replay_into(core, [], headless)\n",
        caught_by=("tests/store/test_recovery.py::test_kill_at_any_moment",),
    ),
    # 6: hard-linked copies
    Mutation(
        trap=6,
        name="the live segment is linked into a checkpoint",
        file="replicad/store/cut.py",
        old="        return self.segment.sealed and self.segment.size_bytes == self.length\n",
        new="        return True\n",
        caught_by=("tests/store/test_checkpoint.py::test_while_writing",),
    ),
    Mutation(
        trap=6,
        name="a checkpoint takes all of the live segment",
        file="replicad/store/checkpoint.py",
        old="                copy_file(fs, part.path, destination, part.length)\n",
        new="                copy_file(fs, part.path, destination)\n",
        caught_by=("tests/store/test_checkpoint.py::test_while_writing",),
    ),
    Mutation(
        trap=6,
        name="a cut does not wait until its position is durable",
        file="replicad/store/cut.py",
        old="            core.syncer.sync_through(self.position.sequence)\n",
        new="            pass\n",
        caught_by=("tests/store/test_checkpoint.py::test_a_cut_waits_until_its_position_is_durable",),
    ),
    Mutation(
        trap=6,
        name="an open cut holds no log",
        file="replicad/store/cut.py",
        old="            core.log_pins[self._log_from] += 1\n",
        new="",
        caught_by=("tests/store/test_leases.py::test_held_log_stays",),
    ),
    Mutation(
        trap=6,
        name="an open cut holds no tables",
        file="replicad/store/cut.py",
        old="            core.pin(self._tables)\n",
        new="",
        caught_by=("tests/store/test_checkpoint.py::test_cut_keeps_its_files",),
    ),
    Mutation(
        trap=6,
        name="a checkpoint is made of links or not at all",
        file="replicad/env/atomic.py",
        old="        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP):\n",
        new="        if True:\n",
        caught_by=("tests/store/test_checkpoint.py::test_across_file_systems",),
    ),
    Mutation(
        trap=6,
        name="a file that is copied is not synced",
        file="replicad/env/atomic.py",
        old="        writer.sync()\n",
        new="",
        caught_by=(crash("checkpoint"),),
    ),
    # 7: file numbers are not identities
    Mutation(
        trap=7,
        name="an installed copy keeps its file numbers",
        file="replicad/store/checkpoint.py",
        old="    for number, meta in enumerate(received.tables, start=first):\n",
        new="    for number, meta in ((meta.number, meta) for meta in received.tables):\n",
        caught_by=(
            "tests/store/test_checkpoint.py::test_install_replaces_data",
            "tests/store/test_replaced_log.py",
        ),
    ),
    Mutation(
        trap=7,
        name="a staged file is whole when it has the right size",
        file="replicad/replication/staging.py",
        old="            return digest.digest() == entry.sha256\n",
        new="            return True\n",
        caught_by=(f"{STAGING}test_what_is_complete_is_kept_and_the_rest_removed",),
    ),
    Mutation(
        trap=7,
        name="the digest of a fetched file is not checked",
        file="replicad/replication/staging.py",
        old="        if got != self._entry.sha256:\n",
        new="        if False:\n",
        caught_by=(f"{STAGING}test_a_file_of_another_content_is_refused",),
    ),
    Mutation(
        trap=7,
        name="tables of one number are one file to a backup",
        file="replicad/backup/names.py",
        old='{SHARED}{meta.number:06d}_{meta.sha256.hex()[:16]}_{meta.size_bytes}"',
        new='{SHARED}{meta.number:06d}_0000000000000000_{meta.number}"',
        caught_by=("tests/backup/test_engine.py::test_two_databases_share_a_target",),
    ),
    Mutation(
        trap=7,
        name="the digest of a file on its way to or from a backup is not checked",
        file="replicad/backup/copying.py",
        old="        if hash.digest() != sha256:\n",
        new="        if False:\n",
        caught_by=("tests/backup/restore/test_restore.py::test_a_damaged_target",),
    ),
    # 14: restoring never deletes first
    Mutation(
        trap=14,
        name="installing removes the old tables first",
        file="replicad/store/checkpoint.py",
        old="    fs.make_directories(directory)\n    tables = []\n",
        new="    fs.make_directories(directory)\n    tables = []\n"
        "    for stale in old:\n        fs.unlink(directory / stale)\n",
        caught_by=(crash("bootstrap"),),
    ),
    Mutation(
        trap=14,
        name="installing removes the old log first",
        file="replicad/store/checkpoint.py",
        old="    write_state(fs, directory, state)\n"
        '    remove_log(fs, directory / "wal" if wal_dir is None else wal_dir)\n',
        new='    remove_log(fs, directory / "wal" if wal_dir is None else wal_dir)\n'
        "    write_state(fs, directory, state)\n",
        caught_by=(crash("bootstrap"),),
    ),
    Mutation(
        trap=14,
        name="an installed copy does not say that it replaced the log",
        file="replicad/store/checkpoint.py",
        old="        log_replaced=True,\n",
        new="",
        caught_by=("tests/store/test_replaced_log.py::test_a_copy_takes_the_place_of_a_longer_history",),
    ),
    Mutation(
        trap=14,
        name="opening does not remove the log that a copy replaced",
        file="replicad/store/opening.py",
        old='        remove_stale_log(fs, (wal, path / "archive"), state)\n',
        new="",
        caught_by=("tests/store/test_replaced_log.py::test_a_copy_takes_the_place_of_a_longer_history",),
    ),
    Mutation(
        trap=14,
        name="a copy that is opened for writing keeps its id",
        file="replicad/store/opening.py",
        old='        if core.state.copy and role == "owner" and not read_only:\n',
        new="        if False:\n",
        caught_by=("tests/store/test_checkpoint.py::test_opens_beside_the_original",),
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
        old="            put_in_place(env, built, destination, files / options[0] if options else None)\n"
        "            place_attachments(env, staged, destination.attachments, paths, replacing=True)\n",
        new='            env.fs.remove_tree(destination.path / "CURRENT")\n'
        "            put_in_place(env, built, destination, files / options[0] if options else None)\n"
        "            place_attachments(env, staged, destination.attachments, paths, replacing=True)\n",
        caught_by=("tests/backup/restore/test_crashes.py::test_death_at_every_operation",),
    ),
    Mutation(
        trap=14,
        name="a replaced file is removed before its successor is there",
        file="replicad/env/atomic.py",
        old="    fs.rename(staged, path)\n    fs.sync_directory(path.parent)\n",
        new="    fs.unlink(path)\n    fs.rename(staged, path)\n    fs.sync_directory(path.parent)\n",
        caught_by=(crash("put"),),
    ),
)
