"""What follows in the log, who reads it, and stopping at a failure."""

from __future__ import annotations

from tests.teeth.mutation import Mutation

STREAM = "tests/replication/test_stream.py::"
SESSIONS = "tests/replication/test_sessions.py::"

READING = (
    # 11: gaps
    Mutation(
        trap=11,
        name="frames that do not follow are applied as far as they go",
        file="replicad/store/write/foreign_frames.py",
        old="    if scan.stop != kernels.SCAN_END:\n        raise _why_refused(scan, data)\n",
        new="",
        caught_by=("tests/store/copies/test_checkpoint.py::test_replica_refuses_gaps_and_other_histories",),
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
        caught_by=(
            "tests/store/test_updates.py::test_log_that_is_gone_is_an_error_that_says_where_the_log_begins",
        ),
    ),
    Mutation(
        trap=11,
        name="a replica takes frames that begin later",
        file="replicad/replication/replica/receiver.py",
        old="            if message.first != self._received + 1:\n",
        new="            if message.first <= self._received:\n",
        caught_by=(f"{STREAM}test_a_gap_is_an_error",),
    ),
    Mutation(
        trap=11,
        name="no log is held while a copy is fetched",
        file="replicad/replication/primary/copying.py",
        old="            copy.position.sequence,\n            self._env",
        new="            1 << 60,\n            self._env",
        caught_by=("tests/replication/test_held_log.py::test_log_is_held_from_before_a_copy_is_cut",),
    ),
    Mutation(
        trap=11,
        name="retention takes log that somebody holds",
        file="replicad/store/wal/retention.py",
        old="        if held or not (old or short or total > rules.bytes_max):\n",
        new="        if not (old or short or total > rules.bytes_max):\n",
        caught_by=("tests/store/wal/test_retention.py::test_which_log_is_archived_and_which_goes",),
    ),
    Mutation(
        trap=11,
        name="a reader passes over a missing segment",
        file="replicad/store/wal/cursor.py",
        old="            if following.header.previous.sequence != at.walk.last:\n",
        new="            if False:\n",
        caught_by=("tests/store/test_log_holes.py::test_a_reader_stops_at_a_missing_segment",),
    ),
    Mutation(
        trap=11,
        name="a reader passes over missing frames",
        file="replicad/store/wal/cursor.py",
        old="        if chunk.first_sequence != last + 1:\n",
        new="        if False:\n",
        caught_by=("tests/store/test_log_holes.py::test_a_reader_stops_at_missing_frames",),
    ),
    Mutation(
        trap=11,
        name="no log is held before a copy is cut",
        file="replicad/replication/primary/copying.py",
        old="            slot = self._slots.hold(node_id, self._source.durable_sequence, "
        "self._env.clock.wall_us())\n            await self._records.put_slot(slot)\n"
        "            copy = await in_thread(self._copies.make, node_id)\n",
        new="            copy = await in_thread(self._copies.make, node_id)\n",
        caught_by=("tests/replication/test_held_log.py::test_log_is_held_from_before_a_copy_is_cut",),
    ),
    Mutation(
        trap=11,
        name="a bootstrap's slot begins after what its tables hold",
        file="replicad/replication/primary/copying.py",
        old="            copy.position.sequence,\n",
        new="            self._source.durable_sequence,\n",
        caught_by=("tests/replication/test_held_log.py::test_log_is_held_from_before_a_copy_is_cut",),
    ),
    Mutation(
        trap=11,
        name="a reader beside a writer misses log that goes meanwhile",
        file="replicad/store/open/read_only.py",
        old="            if load(env.fs, path).flushed.sequence <= core.written.sequence:\n",
        new="            if True:\n",
        caught_by=("tests/store/open/test_read_only.py::test_log_that_goes_while_a_reader_opens",),
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
        old="            file.discard_tail()\n",
        new="",
        caught_by=("tests/store/test_durability.py::test_full_disk_refuses_and_heals",),
    ),
    Mutation(
        trap=12,
        name="what a failed append left stays in the log",
        file="replicad/store/wal/writer.py",
        old="            file.discard_tail()\n            if file.size == HEADER_BYTES:\n",
        new="            if file.size == HEADER_BYTES:\n",
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
    Mutation(
        trap=12,
        name="a replica goes on after frames that are half applied",
        file="replicad/store/write/applier.py",
        old="            return self._insert(data)\n"
        "        except BaseException as error:\n"
        "            self._progress.fail(error)\n            raise\n",
        new="            return self._insert(data)\n        except BaseException:\n            raise\n",
        caught_by=("tests/store/test_ends.py::test_frames_that_are_half_applied_stop_a_replica",),
        hangs=True,
    ),
    Mutation(
        trap=12,
        name="half an edit stays in the manifest",
        file="replicad/store/manifest/file.py",
        old="            file.discard_tail()\n            raise DiskFullError",
        new="            raise DiskFullError",
        caught_by=("tests/store/manifest/test_manifest.py::test_half_an_edit_is_taken_back",),
    ),
    Mutation(
        trap=12,
        name="what a cancelled connection wrote does not count",
        file="replicad/replication/copy/fetch.py",
        old="            if self._account(connection, work, file.offset - before):\n",
        new="            if asyncio.current_task().cancelling():\n                pass\n"
        "            elif self._account(connection, work, file.offset - before):\n",
        caught_by=("tests/replication/copy/test_fetch.py::test_what_a_cancelled_connection_wrote_counts",),
    ),
    Mutation(
        trap=12,
        name="a file that came whole over a connection that broke is not named",
        file="replicad/replication/copy/fetch.py",
        old="                finishing.append(asyncio.create_task(self._finish(file, work)))\n",
        new="                if not asyncio.current_task().cancelling():\n"
        "                    finishing.append(asyncio.create_task(self._finish(file, work)))\n",
        caught_by=(
            "tests/replication/copy/test_fetch.py"
            "::test_what_came_whole_is_finished_when_the_connection_breaks",
        ),
    ),
)
