"""Restores to a point in time: a backup and the archived log, to exactly one position."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import replicad
from replicad import Position
from replicad.backup.archive.archiver import LogArchiver
from replicad.backup.archive.names import marks_of, objects_of
from replicad.backup.archive.options import ArchiveOptions
from replicad.backup.engine import BackupEngine
from replicad.backup.options import BackupEngineOptions
from replicad.env import DirectoryLock, Env, LocalFileSystem
from replicad.errors import CorruptionError, InvalidArgument, NotFoundError
from replicad.store.database import Database, open_database
from tests.support.manual_clock import ManualClock
from tests.support.stores.small import fill, small_options


def content(database: Database) -> dict[bytes, bytes]:
    return dict(database.scan())


@dataclass
class History:
    """A database whose every tenth batch is remembered, two backups of it, and its log at the target."""

    path: Path
    engine: BackupEngine
    database: Database
    archiver: LogArchiver
    states: dict[int, dict[bytes, bytes]]
    positions: dict[int, Position]

    def write(self, count: int) -> None:
        for _ in range(count):
            fill(self.database, 1, start=self.database.appended_sequence % 70, value=b"x" * 200)
            sequence = self.database.appended_sequence
            if sequence % 10 == 0:
                self.states[sequence] = content(self.database)
                self.positions[sequence] = self.database.position
        assert self.database.wait_durable(self.database.appended_sequence, 30)
        while self.archiver.step():
            pass

    def check(self, sequence: int, *, time_us: int | None = None) -> None:
        destination = self.path / f"at-{sequence}"
        goal = sequence if time_us is None else None
        report = self.engine.restore_to(destination, sequence=goal, time_us=time_us)
        assert report.sequence == sequence
        assert report.position == self.positions[sequence]
        with replicad.open(destination, read_only=True) as restored:
            assert restored.position == self.positions[sequence]
            assert content(restored) == self.states[sequence]


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with (
        open_database(tmp_path / "db", small_options()) as database,
        BackupEngine(tmp_path / "target", BackupEngineOptions(sync=False)) as engine,
    ):
        archiver = LogArchiver(engine.target, database, ArchiveOptions(object_bytes=20_000))
        yield History(tmp_path, engine, database, archiver, {}, {})


def test_any_sequence_number_can_be_restored(history: History) -> None:
    """Between, at and after backups every batch can be restored, from the backup before it."""
    history.write(50)
    history.engine.create_backup(history.database)
    history.write(300)
    history.engine.create_backup(history.database, flush_before_backup=True)
    history.write(150)
    for sequence in (50, 60, 170, 350, 360, 500):
        history.check(sequence)
    assert history.engine.restore_to(history.path / "x", sequence=340, dry_run=True).id == 1
    plan = history.engine.restore_to(history.path / "x", sequence=355, dry_run=True)
    assert (plan.id, plan.position, plan.sequence) == (2, None, 355)
    assert plan.log_bytes > 0
    with pytest.raises(
        NotFoundError, match=r"no backup is old enough for .*: the oldest is backup \d+, at sequence number"
    ):
        history.engine.restore_to(history.path / "x", sequence=49)
    with pytest.raises(NotFoundError, match="lacks sequence numbers 501 and later"):
        history.engine.restore_to(history.path / "x", sequence=501)


def test_a_time_means_the_last_batch_until_then(history: History) -> None:
    """A time means the last batch committed until then."""
    history.write(40)
    history.engine.create_backup(history.database)
    history.write(100)
    times = {
        int(update.position.sequence): update.commit_time for update in history.database.get_updates_since(1)
    }
    for sequence in (50, 120):
        last = max(number for number, time in times.items() if time <= times[sequence])
        if last == sequence:
            history.check(sequence, time_us=times[sequence])
    with pytest.raises(InvalidArgument, match="ends at sequence number 140"):
        history.engine.restore_to(history.path / "x", time_us=times[140] + 1)
    with pytest.raises(NotFoundError):
        history.engine.restore_to(history.path / "x", time_us=times[1])


def test_a_number_within_a_batch_is_refused(history: History) -> None:
    """A number within a batch is refused, the ones beside it are named, and nothing is replaced."""
    history.write(10)
    history.engine.create_backup(history.database)
    batch = replicad.WriteBatch()
    for key in (b"a", b"b", b"c"):
        batch.put(key, b"v")
    history.database.write(batch)
    history.write(10)
    with pytest.raises(InvalidArgument, match="choose 10 or 13"):
        history.engine.restore_to(history.path / "x", sequence=12)
    assert not (history.path / "x" / "CURRENT").exists()
    with pytest.raises(InvalidArgument, match="one moment"):
        history.engine.restore_to(history.path / "x", sequence=12, time_us=1)


def test_a_gap_is_an_error_with_the_way_out(history: History) -> None:
    """A missing object is found before anything is fetched, and the error says what can be reached."""
    history.write(20)
    history.engine.create_backup(history.database)
    for _ in range(6):
        history.write(60)
    objects = objects_of(history.engine.target.list("log/"))
    gone = objects[2]
    history.engine.target.delete([gone.name])
    with pytest.raises(NotFoundError, match=f"lacks sequence numbers {gone.first}.*{gone.first - 1} can"):
        history.engine.restore_to(history.path / "x", sequence=370)
    assert not (history.path / "x").exists()
    assert history.engine.restore_to(history.path / "x", sequence=gone.first - 1).sequence == gone.first - 1


def test_damage_leaves_the_old_data(history: History) -> None:
    """A damaged object ends the restore with its name; the directory is as it was."""
    history.write(20)
    history.engine.create_backup(history.database)
    history.write(100)
    each = objects_of(history.engine.target.list("log/"))[-1]
    data = bytearray(history.engine.target.read(each.name))
    data[-5] ^= 1
    history.engine.target.write(each.name, [bytes(data)])
    history.engine.restore_backup(1, history.path / "x")
    with pytest.raises(CorruptionError) as caught:
        history.engine.restore_to(history.path / "x", sequence=120)
    assert each.name in str(caught.value.path)
    with replicad.open(history.path / "x", read_only=True) as old:
        assert content(old) == history.states[20]


def test_several_databases_at_one_target(history: History) -> None:
    """Which database is meant has to be said when a target has several."""
    history.write(20)
    history.engine.create_backup(history.database)
    history.write(20)
    with open_database(history.path / "other", small_options()) as other:
        fill(other, 5)
        history.engine.create_backup(other)
    with pytest.raises(InvalidArgument, match="several databases"):
        history.engine.restore_to(history.path / "x", sequence=30)
    report = history.engine.restore_to(
        history.path / "x", sequence=30, database_id=history.database.database_id
    )
    assert report.position == history.positions[30]
    with pytest.raises(NotFoundError):
        history.engine.restore_to(history.path / "y", sequence=30, database_id=bytes(16))


def test_verify_finds_gaps_and_damage(history: History) -> None:
    """Verification names what is missing, and with checksums what is damaged, before anybody restores."""
    history.write(20)
    history.engine.create_backup(history.database)
    for _ in range(6):
        history.write(60)
    (check,) = history.engine.verify_log(checksums=True)
    assert check.ok
    assert (check.base, check.first_sequence, check.end) == (1, 20, history.database.durable_position)
    objects = objects_of(history.engine.target.list("log/"))
    whole = history.engine.target.read(objects[3].name)
    history.engine.target.write(objects[3].name, [whole[:200] + bytes([whole[200] ^ 1]) + whole[201:]])
    history.engine.target.delete([objects[1].name])
    (check,) = history.engine.verify_log()
    assert [(gap.first, gap.last) for gap in check.gaps] == [(objects[1].first, objects[1].last)]
    (check,) = history.engine.verify_log(checksums=True)
    assert [problem.name for problem in check.problems] == [objects[3].name]
    assert not check.as_dict()["ok"]


def test_purging_the_log_breaks_no_chain(history: History) -> None:
    """Log goes up to a backup that stays; from there on every point can be restored."""
    for _ in range(4):
        history.write(60)
        history.engine.create_backup(history.database)
    history.write(60)
    assert history.engine.purge_log() == 0
    assert history.engine.purge_log(keep_backups=2) > 0
    (check,) = history.engine.verify_log(checksums=True)
    history.check(190)
    history.check(300)
    history.engine.purge_old_backups(2)
    (check,) = history.engine.verify_log(checksums=True)
    assert check.ok
    assert check.base == 3
    assert history.engine.purge_log(keep_backups=1, keep_seconds=3600) == 0
    history.engine.delete_backup(3)
    history.engine.delete_backup(4)
    assert history.engine.purge_log(keep_backups=1) == 0


def test_a_restore_without_a_moment_says_that_the_log_goes_on(history: History) -> None:
    """The report names the end of the log after a backup, and damage to the log is in nobody's way."""
    history.write(20)
    history.engine.create_backup(history.database)
    assert history.engine.restore_latest_backup(history.path / "new").log_end is None
    history.write(30)
    report = history.engine.restore_latest_backup(history.path / "new", dry_run=True)
    assert (report.sequence, report.log_end) == (20, 50)
    assert history.engine.restore_backup(1, history.path / "new").log_end == 50
    for name in history.engine.target.list("log/"):
        history.engine.target.write(name, [b"damaged"])
    assert history.engine.restore_latest_backup(history.path / "new").sequence == 20


@pytest.mark.parametrize("object_bytes", [300, 20_000])
def test_a_time_where_times_stood_still_says_so(tmp_path: Path, object_bytes: int) -> None:
    """A clock that was ahead once gives its time to all that follow; a true time restores what was before."""
    clock = ManualClock()
    clock.wall = 1_700_000_000_000_000
    with (
        open_database(tmp_path / "db", small_options(), env=Env(clock=clock)) as database,
        BackupEngine(tmp_path / "target", BackupEngineOptions(sync=False)) as engine,
    ):
        archiver = LogArchiver(engine.target, database, ArchiveOptions(object_bytes=object_bytes))
        engine.create_backup(database)

        def write(count: int) -> None:
            for _ in range(count):
                clock.wall = clock.wall_us() + 1_000_000
                database.put(b"k", b"%d" % clock.wall)
                assert database.wait_durable(database.appended_sequence, 30)
                archiver.step()

        write(10)
        before = clock.wall
        clock.wall += 300_000_000
        write(1)
        clock.wall -= 300_000_000
        write(20)
        report = engine.restore_to(tmp_path / "new", time_us=clock.wall)
        assert (report.sequence, report.stood_still, report.log_end) == (10, (11, 31), 31)
        report = engine.restore_to(tmp_path / "new", time_us=before - 3_000_000)
        assert (report.sequence, report.stood_still) == (7, None)
        archiver.close()


def test_a_database_that_is_mounted_for_reading_is_backed_up(tmp_path: Path) -> None:
    """Nobody can write there, so it is read where it is; elsewhere a database has to be opened."""

    class Mounted(LocalFileSystem):
        def lock(self, path: Path) -> DirectoryLock:
            raise OSError(errno.EROFS, "Read-only file system", str(path))

    with replicad.open(tmp_path / "db", small_options()) as database:
        fill(database, 300)
        database.flush()
        fill(database, 10, start=300)
        expected, position = content(database), database.position
    with pytest.raises(InvalidArgument, match="not a copy of one"):
        BackupEngine(tmp_path / "target").create_backup(tmp_path / "db")
    with BackupEngine(tmp_path / "target", env=Env(fs=Mounted())) as engine:
        assert engine.create_backup(tmp_path / "db").position == position
    with BackupEngine(tmp_path / "target") as engine:
        assert engine.verify_backups(checksums=True).ok
        engine.restore_latest_backup(tmp_path / "new")
    with replicad.open(tmp_path / "new") as restored:
        assert content(restored) == expected


def test_a_time_at_which_the_database_was_idle(history: History) -> None:
    """What was marked as idle can be restored to, until then and no further."""
    history.write(10)
    history.engine.create_backup(history.database)
    history.write(10)
    last_us = history.engine.verify_log()[0].end_commit_time_us
    with pytest.raises(InvalidArgument, match="ends at sequence number 20"):
        history.engine.restore_to(history.path / "new", time_us=last_us + 1)
    history.archiver.mark()
    (mark,) = marks_of(history.engine.target.list("log/")).values()
    assert mark.end == history.database.durable_position and mark.time_us >= last_us
    history.check(20, time_us=mark.time_us)
    with pytest.raises(InvalidArgument, match=r"until .* nothing was"):
        history.engine.restore_to(history.path / "new", time_us=mark.time_us + 3_600_000_000)
    history.archiver.mark()
    assert len(marks_of(history.engine.target.list("log/"))) == 1
    assert all(check.ok for check in history.engine.verify_log(checksums=True))


@pytest.mark.long
def test_a_mark_says_nothing_of_what_is_not_archived(history: History) -> None:
    """A database that wrote since is not marked, and an old mark does not count for what came after."""
    history.write(10)
    history.engine.create_backup(history.database)
    history.archiver.mark()
    (before,) = marks_of(history.engine.target.list("log/")).values()
    fill(history.database, 5)
    assert history.database.wait_durable(history.database.appended_sequence, 30)
    history.archiver.mark()
    assert list(marks_of(history.engine.target.list("log/")).values()) == [before]
    while history.archiver.step():
        pass
    later_us = history.engine.verify_log()[0].end_commit_time_us + 1
    with pytest.raises(InvalidArgument, match="ends at sequence number 15"):
        history.engine.restore_to(history.path / "new", time_us=later_us)
    assert history.engine.restore_to(history.path / "new", time_us=before.time_us).sequence == 10
