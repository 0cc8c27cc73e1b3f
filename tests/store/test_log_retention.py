"""Retention in an open database: when it runs, and what counts as short of room."""

from __future__ import annotations

from pathlib import Path

import replicad
from replicad.env import Env, LocalFileSystem
from replicad.store.database import open_database
from replicad.store.holds.log_holds import HeldSegment
from tests.support.manual_clock import ManualClock
from tests.support.stores.small import fill, small_options
from tests.support.waiting import eventually

GIB = 1 << 30


class Room(LocalFileSystem):
    """Says how much is free."""

    def __init__(self) -> None:
        self.free = 100 * GIB

    def free_bytes(self, path: Path) -> int:
        return self.free


def segments(db: replicad.Database) -> int:
    return len(db.get_sorted_wal_files())


def test_below_the_floor_the_archive_goes_and_a_cut_keeps_its_log(tmp_path: Path) -> None:
    """Below the floor the archive goes at the next rotation; a cut keeps what it needs."""
    fs = Room()
    options = small_options(log_disk_floor_bytes=GIB, memtable_bytes=16 << 20)
    with open_database(tmp_path / "db", options, env=Env(fs=fs)) as db:
        fill(db, 1500)
        db.flush()
        eventually(lambda: any(file.archived for file in db.get_sorted_wal_files()))
        before = segments(db)
        fs.free = GIB - (1 << 20)
        cut = db.cut()
        fill(db, 1500, start=1500)
        eventually(lambda: db.oldest_log_sequence > 1)
        assert db.oldest_log_sequence <= 1501
        assert before > 3
        retention = db.stats()["retention"]
        assert retention["held_from"] == cut.flushed.sequence + 1 == 1501
        assert retention["short_of_room_bytes"] == 1 << 20
        cut.close()
        db.flush()
        eventually(lambda: db.oldest_log_sequence > 2500)


def test_age_counts_while_open(tmp_path: Path) -> None:
    """Archived log that has grown old goes at a rotation, without any flush; a live one has no age."""
    clock = ManualClock()
    options = small_options(log_retention_seconds=60.0, memtable_bytes=16 << 20)
    with open_database(tmp_path / "db", options, env=Env(clock=clock)) as db:
        fill(db, 1000)
        db.flush()
        eventually(lambda: any(file.archived for file in db.get_sorted_wal_files()))
        flushes = db.stats()["flushes"]
        clock.now += 61
        fill(db, 1000, start=1000)
        eventually(lambda: db.oldest_log_sequence > 700)
        assert db.stats()["flushes"] == flushes
        assert db.oldest_log_sequence <= 1001


def test_annotations_are_in_no_table(tmp_path: Path) -> None:
    """What `put_log_data` put is in the log, in its place among the operations, and in no table byte."""
    note = b"an-annotation-that-nothing-else-looks-like-"
    with replicad.open(tmp_path / "db", small_options(compression="none")) as db:
        for number in range(300):
            batch = replicad.WriteBatch()
            batch.put_log_data(note + b"before")
            batch.put(b"key-%d" % number, b"value" * 10)
            batch.put_log_data(note + bytes(range(256)))
            batch.put_log_data(b"")
            db.write(batch)
        db.compact()
        tables = list(db.path.glob("*.sst"))
        assert tables
        assert not any(note in path.read_bytes() for path in tables)
        db.wait_durable(300)
        for update in db.get_updates_since(1):
            kinds = [operation.kind.name for operation in update.batch.operations]
            assert kinds == ["LOG_DATA", "PUT", "LOG_DATA", "LOG_DATA"]
            assert update.batch.operations[2].value == note + bytes(range(256))


def test_holds_are_asked_before_log_goes(tmp_path: Path) -> None:
    """Who holds log hears, before any of it goes, what there is and how much room is missing."""

    class Asked:
        def __init__(self) -> None:
            self.firsts: list[int] = []

        def oldest_needed(self) -> int | None:
            return None if self.firsts else 1

        def enforce(self, files: list[HeldSegment], newest: int, flushed: int, short_bytes: int, /) -> None:
            self.firsts += [file.first_sequence for file in files[:1]]

    holds = Asked()
    options = small_options(log_retention_bytes=0)
    with open_database(tmp_path / "db", options, retention=holds) as db:
        fill(db, 1000)
        db.flush()
        eventually(lambda: db.oldest_log_sequence > 1)
    assert holds.firsts[0] == 1
