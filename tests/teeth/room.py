"""Room on the disk, and what writers meet while there is none."""

from __future__ import annotations

from tests.teeth.mutation import Mutation

ROOM = (
    # 13: a full disk
    Mutation(
        trap=13,
        name="a flush that finds no room stops the store",
        file="replicad/store/background/lanes.py",
        old="            if full and core.progress.failure is None:\n",
        new="            if False:\n",
        caught_by=("tests/store/test_durability.py::test_full_disk_while_flushing",),
    ),
    Mutation(
        trap=13,
        name="a store whose disk has room again goes on refusing",
        file="replicad/store/writable_core.py",
        old="            if missing is None:\n                del self.no_room[work]\n",
        new="            if missing is None:\n                pass\n",
        caught_by=("tests/store/test_disks.py::test_room_is_kept_in_reserve",),
        hangs=True,
    ),
    Mutation(
        trap=13,
        name="a copy is fetched without room for it",
        file="replicad/replication/copy/staging.py",
        old="        if needed + free_bytes_min > free:\n",
        new="        if False:\n",
        caught_by=(
            "tests/replication/copy/test_staging.py::test_a_copy_that_does_not_fit_is_refused_before_it_is_fetched",
        ),
    ),
    Mutation(
        trap=13,
        name="a restore begins without room for it",
        file="replicad/backup/restore/staging.py",
        old="    if needed + RESERVE_BYTES > free:\n",
        new="    if False:\n",
        caught_by=("tests/backup/restore/test_restore.py::test_without_room_nothing_is_fetched",),
    ),
    Mutation(
        trap=13,
        name="a full disk stops the store",
        file="replicad/store/wal/writer.py",
        old="        if isinstance(error, OSError) and not is_no_room(error):\n",
        new="        if True:\n",
        caught_by=("tests/store/test_durability.py::test_full_disk_refuses_and_heals",),
    ),
    Mutation(
        trap=13,
        name="no room for a new segment stops the store",
        file="replicad/store/wal/writer.py",
        old="    if is_no_room(error):\n        return DiskFullError",
        new="    if False:\n        return DiskFullError",
        caught_by=("tests/store/test_durability.py::test_full_disk_at_a_new_segment",),
    ),
    Mutation(
        trap=13,
        name="what is kept in reserve is ignored",
        file="replicad/store/background/lanes.py",
        old="    if free < reserve:\n",
        new="    if False:\n",
        caught_by=("tests/store/test_disks.py::test_room_is_kept_in_reserve",),
    ),
    Mutation(
        trap=13,
        name="writers wait for a damaged table for ever",
        file="replicad/store/pressure.py",
        old='    if work == "compaction" and damage is not None:\n',
        new="    if False:\n",
        caught_by=("tests/store/test_pressure.py::test_what_waits_for_damaged_tables_is_refused",),
    ),
    Mutation(
        trap=13,
        name="writers who wait are not told of damage",
        file="replicad/store/writable_core.py",
        old="            self.damage = self.damage or error\n            self._judge_pressure()\n",
        new="            self.damage = self.damage or error\n",
        caught_by=(
            "tests/store/test_damage.py::test_writers_that_wait_when_the_damage_is_found_are_refused",
        ),
    ),
    Mutation(
        trap=13,
        name="a flush waits for room for ever",
        file="replicad/store/database.py",
        old="            lambda: core.version.flushed.sequence >= target or "
        'core.found_no_room["flush"] > refused\n',
        new="            lambda: core.version.flushed.sequence >= target\n",
        caught_by=("tests/store/test_durability.py::test_full_disk_while_flushing",),
        hangs=True,
    ),
    Mutation(
        trap=13,
        name="a flush that found no room says that it is done",
        file="replicad/store/database.py",
        old="        if core.version.flushed.sequence < target:\n            raise DiskFullError",
        new="        if False:\n            raise DiskFullError",
        caught_by=("tests/store/test_durability.py::test_full_disk_while_flushing",),
    ),
)
