"""From commit times to sequence numbers, compared with a walk over all updates."""

from __future__ import annotations

from bisect import bisect_left
from pathlib import Path

import pytest

import replicad
from replicad.env import Env
from replicad.store.database import open_database
from replicad.store.log_times import sequence_at_time
from tests.support.manual_clock import ManualClock
from tests.support.stores.small import small_options


@pytest.fixture
def clock() -> ManualClock:
    clock = ManualClock()
    clock.wall = 1_000_000
    return clock


def write(db: replicad.Database, clock: ManualClock, count: int, value: bytes = b"v" * 100) -> None:
    """Batches of two operations; every third shares its time with the one before."""
    for number in range(count):
        assert clock.wall is not None
        clock.wall += 10 if number % 3 else 0
        batch = replicad.WriteBatch()
        batch.put(b"a", value)
        batch.put(b"b", value)
        db.write(batch)
    db.wait_durable(db.appended_sequence)


@pytest.mark.parametrize("segment_bytes", [16 * 1024, 64 << 20])
def test_for_every_time_the_answer_is_the_first_batch_not_earlier(
    tmp_path: Path, clock: ManualClock, segment_bytes: int
) -> None:
    """For every time the answer is the first batch not earlier, in many segments or one with an index."""
    options = small_options(segment_bytes=segment_bytes, memtable_bytes=8 << 20)
    with open_database(tmp_path / "db", options, env=Env(clock=clock)) as db:
        write(db, clock, 900, b"v" * 800)
        updates = [(update.commit_time, update.first_sequence) for update in db.get_updates_since(1)]
        assert len(updates) == 900
        times = [time for time, _ in updates]
        for asked in range(times[0] - 5, times[-1] + 1, 5):
            assert db.sequence_at_time(asked) == updates[bisect_left(times, asked)][1]
        assert db.sequence_at_time(times[-1] + 1) == db.durable_sequence + 1


def test_an_empty_log_answers_with_the_number_to_come(tmp_path: Path, clock: ManualClock) -> None:
    """Before the first write the answer is the number to come."""
    with open_database(tmp_path / "db", small_options(), env=Env(clock=clock)) as db:
        assert db.sequence_at_time(0) == db.sequence_at_time(2**60) == 1


def test_a_log_that_begins_too_late(tmp_path: Path, clock: ManualClock) -> None:
    """A time that batches which are gone may have had is LogGoneError; later ones are answered."""
    with open_database(tmp_path / "db", small_options(), env=Env(clock=clock)) as db:
        write(db, clock, 50)
        db.create_checkpoint(tmp_path / "copy", flush=True)
        middle = clock.wall
        assert middle is not None
    with open_database(tmp_path / "copy", small_options(), env=Env(clock=clock)) as copy:
        with pytest.raises(replicad.LogGoneError):
            copy.sequence_at_time(middle)
        assert copy.sequence_at_time(middle + 1) == 101
        write(copy, clock, 50)
        first = next(copy.get_updates_since(101))
        with pytest.raises(replicad.LogGoneError) as caught:
            copy.sequence_at_time(first.commit_time)
        assert caught.value.first_available == 101
        assert copy.sequence_at_time(first.commit_time + 1) > 101


def test_with_the_index_a_question_reads_little_of_the_log(tmp_path: Path, clock: ManualClock) -> None:
    """Once the index is there, a question reads a few headers and one stretch of frames, not the log."""
    options = small_options(segment_bytes=256 << 20, memtable_bytes=64 << 20)
    with open_database(tmp_path / "db", options, env=Env(clock=clock)) as db:
        write(db, clock, 2500, b"v" * 1000)
        db.sequence_at_time(clock.wall or 0)
        read = 0
        fs = db._core.catalog.fs
        opened = fs.open

        def counting(path: Path):  # type: ignore[no-untyped-def]
            file = opened(path)
            plain = file.read

            def reading(offset: int, length: int) -> bytes:
                nonlocal read
                data = plain(offset, length)
                read += len(data)
                return data

            file.read = reading  # type: ignore[method-assign]
            return file

        fs.open = counting  # type: ignore[method-assign]
        assert sequence_at_time(db._core, 1_000_000 + 12_000) > 1000
        assert read < 1 << 20 < db.stats()["log"]["bytes"] / 4


def test_commit_times_never_go_back(tmp_path: Path, clock: ManualClock) -> None:
    """Whatever the wall clock does: after a reopening without log, and after another node's log."""
    env = Env(clock=clock)
    with open_database(tmp_path / "db", small_options(), env=env) as db:
        write(db, clock, 5)
        db.flush()
        db.create_checkpoint(tmp_path / "copy")
        db.create_checkpoint(tmp_path / "tables", flush=True)
        last = clock.wall
    clock.wall = 500
    with open_database(tmp_path / "tables", small_options(), env=env) as copy:
        write(copy, clock, 1)
        assert last is not None and next(copy.get_updates_since(11)).commit_time >= last
    with open_database(tmp_path / "db", small_options(), env=env) as db:
        write(db, clock, 5)
        times = [update.commit_time for update in db.get_updates_since(1)]
        assert len(times) == 10 and times == sorted(times)
        with open_database(tmp_path / "copy", small_options(), env=env, role="replica") as replica:
            cursor = db.read_log(replica.position.sequence + 1)
            while (chunk := cursor.next()) is not None:
                replica.apply_frames(chunk.frames)
            cursor.close()
            replica.promote(b"e" * 16)
            write(replica, clock, 1)
            times = [update.commit_time for update in replica.get_updates_since(11)]
            assert len(times) == 7 and times == sorted(times)
