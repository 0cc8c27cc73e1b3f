"""The disk: names, syncs of files that are not log, and room."""

from __future__ import annotations

from tests.teeth.log import crash
from tests.teeth.mutation import Mutation

BACKUP_CREATE = "tests/backup/test_crashes.py::test_death_at_every_operation[create]"
FAULTS = "tests/faults/test_faults.py::test_an_error_or_a_success_never_a_lie"

DISK = (
    # 1: directory entries
    Mutation(
        trap=1,
        name="the name of a new segment is not synced",
        file="replicad/store/wal/writer.py",
        old="            if unnamed:\n                self._fs.sync_directory(self.catalog.live)\n",
        new="",
        caught_by=(crash("put"),),
    ),
    Mutation(
        trap=1,
        name="the names of new tables are not synced",
        file="replicad/store/compaction/merge.py",
        old="        if made:\n            self._env.fs.sync_directory(self._directory)\n",
        new="",
        caught_by=(crash("flush"),),
    ),
    Mutation(
        trap=1,
        name="a new table is not synced",
        file="replicad/store/table/writer.py",
        old="        self._file.sync()\n",
        new="",
        caught_by=(crash("flush"),),
    ),
    Mutation(
        trap=1,
        name="the name of a new manifest is not synced",
        file="replicad/store/manifest/file.py",
        old="        file.sync()\n        fs.sync_directory(directory)\n    except BaseException:\n",
        new="        file.sync()\n    except BaseException:\n",
        caught_by=(crash("put"),),
    ),
    Mutation(
        trap=1,
        name="an edit of the manifest is not synced",
        file="replicad/store/manifest/file.py",
        old="        file.sync()\n        self.state = state\n",
        new="        self.state = state\n",
        caught_by=(crash("compaction"),),
    ),
    Mutation(
        trap=1,
        name="a replaced file is not synced",
        file="replicad/env/atomic.py",
        old="        file.append(data)\n        file.sync()\n",
        new="        file.append(data)\n",
        caught_by=(crash("put"),),
    ),
    Mutation(
        trap=1,
        name="the rename of a replaced file is not synced",
        file="replicad/env/atomic.py",
        old="    fs.rename(staged, path)\n    fs.sync_directory(path.parent)\n",
        new="    fs.rename(staged, path)\n",
        caught_by=(crash("put"),),
    ),
    Mutation(
        trap=1,
        name="the name of a directory that is there already is not synced",
        file="replicad/env/local.py",
        old="        with suppress(PermissionError):\n            self.sync_directory(path.parent)\n",
        new="",
        caught_by=("tests/env/test_local.py::test_the_name_of_a_directory_that_is_there_becomes_durable",),
    ),
    Mutation(
        trap=1,
        name="the names of new directories are not synced",
        file="replicad/env/local.py",
        old="            self.sync_directory(directory.parent)\n",
        new="",
        caught_by=("tests/env/test_local.py::test_the_name_of_a_directory_that_is_there_becomes_durable",),
    ),
    Mutation(
        trap=1,
        name="a segment leaves wal/ before its name in the archive is durable",
        file="replicad/store/wal/catalog.py",
        old="        self.fs.sync_directory(self.archive)\n",
        new="",
        caught_by=("tests/store/test_disks.py::test_a_segment_keeps_its_name_until_the_archive_is_durable",),
    ),
    Mutation(
        trap=1,
        name="the rename of a checkpoint is not synced",
        file="replicad/store/checkpoint.py",
        old="        fs.rename(staging, target)\n        fs.sync_directory(target.parent)\n",
        new="        fs.rename(staging, target)\n",
        caught_by=(crash("checkpoint"),),
    ),
    Mutation(
        trap=1,
        name="what was fetched is named before it is synced",
        file="replicad/replication/staging.py",
        old="        self._file.sync()\n        self._file.close()\n",
        new="        self._file.close()\n",
        caught_by=("tests/replication/test_staging.py::test_what_is_staged_survives_a_loss_of_power",),
    ),
    Mutation(
        trap=1,
        name="the names of what was fetched are not synced",
        file="replicad/replication/staging.py",
        old="== {entry.name for entry in self._entries}\n        self._fs.sync_directory(self.path)\n",
        new="== {entry.name for entry in self._entries}\n",
        caught_by=("tests/replication/test_staging.py::test_what_is_staged_survives_a_loss_of_power",),
    ),
    Mutation(
        trap=1,
        name="files of a backup are not synced",
        file="replicad/backup/directory_target.py",
        old="                    if self._sync:\n                        file.sync()\n",
        new="",
        caught_by=(BACKUP_CREATE,),
    ),
    Mutation(
        trap=1,
        name="names of files of a backup are not synced",
        file="replicad/backup/directory_target.py",
        old="            if self._sync:\n"
        "                fs.sync_directory(path.parent)\n        except OSError",
        new="        except OSError",
        caught_by=(BACKUP_CREATE,),
    ),
    Mutation(
        trap=1,
        name="what the old manifest does not name goes before the new one is durable",
        file="replicad/store/opening.py",
        old="        manifest = ManifestWriter(fs, path, state)\n        state = manifest.state\n",
        new="        remove_leftovers(fs, path, wal, state)\n"
        "        manifest = ManifestWriter(fs, path, state)\n        state = manifest.state\n",
        caught_by=("tests/store/test_recovery.py::test_nothing_goes_before_a_new_manifest",),
    ),
    Mutation(
        trap=1,
        name="tables go before the edit that drops them is durable",
        file="replicad/store/background.py",
        old="    if not core.record_made(edit):\n        return False\n",
        new="    core.remove_tables(dropped)\n    if not core.record_made(edit):\n        return False\n",
        caught_by=(crash("compaction"),),
    ),
    # 13: a full disk
    Mutation(
        trap=13,
        name="a full disk stops the store",
        file="replicad/store/wal/writer.py",
        old="        if error.errno not in (errno.ENOSPC, errno.EDQUOT):\n            raise PoisonedError",
        new="        if True:\n            raise PoisonedError",
        caught_by=("tests/store/test_durability.py::test_full_disk_refuses_and_heals",),
    ),
    Mutation(
        trap=13,
        name="no room for a new segment stops the store",
        file="replicad/store/wal/writer.py",
        old="    if error.errno in (errno.ENOSPC, errno.EDQUOT):\n        return DiskFullError",
        new="    if False:\n        return DiskFullError",
        caught_by=(FAULTS,),
    ),
    Mutation(
        trap=13,
        name="a flush that finds no room stops the store",
        file="replicad/store/background.py",
        old="            if full and core.progress.failure is None:\n",
        new="            if False:\n",
        caught_by=("tests/store/test_durability.py::test_full_disk_while_flushing",),
    ),
    Mutation(
        trap=13,
        name="a store whose disk has room again goes on refusing",
        file="replicad/store/core.py",
        old="            if missing is None:\n                del self.no_room[work]\n",
        new="            if missing is None:\n                pass\n",
        caught_by=("tests/store/test_disks.py::test_room_is_kept_in_reserve",),
        hangs=True,
    ),
    Mutation(
        trap=13,
        name="a copy is fetched without room for it",
        file="replicad/replication/staging.py",
        old="        if needed + free_bytes_min > free:\n",
        new="        if False:\n",
        caught_by=(
            "tests/replication/test_staging.py::test_a_copy_that_does_not_fit_is_refused_before_it_is_fetched",
        ),
    ),
    Mutation(
        trap=13,
        name="a restore begins without room for it",
        file="replicad/backup/restore/staging.py",
        old="    if found.missing_bytes + RESERVE_BYTES > free:\n",
        new="    if False:\n",
        caught_by=("tests/backup/restore/test_restore.py::test_no_room",),
    ),
)
