"""Tailing the log: nothing skipped, nothing twice, across rotation, archiving and restarts."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import replicad
from replicad import WriteBatch, kernels
from replicad.errors import StoreError
from replicad.store import updates as updates_module
from replicad.store.updates import UpdateIterator
from replicad.store.wal.cursor import LogCursor
from tests.support.stores.small import fill, small_options
from tests.support.waiting import eventually


def write_batches(database: replicad.Database, count: int) -> list[tuple[int, bytes]]:
    """Batches of one to three operations, each annotated: (last sequence number, annotation)."""
    written = []
    for number in range(count):
        batch = WriteBatch()
        for operation in range(number % 3 + 1):
            batch.put(b"k%d" % (number % 50), b"v%d" % operation * 40)
        note = b"note-%d" % number
        batch.put_log_data(note)
        written.append((database.write(batch), note))
    return written


def notes_of(updates: UpdateIterator) -> list[tuple[int, bytes]]:
    return [
        (update.position.sequence, operation.value or b"")
        for update in updates
        for operation in update.batch.operations
        if operation.kind == replicad.OperationKind.LOG_DATA
    ]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[replicad.Database]:
    with replicad.open(tmp_path / "db", small_options()) as database:
        yield database


def test_across_rotation_and_archiving(db: replicad.Database) -> None:
    """Every batch comes once and in order, though segments rotate and move to the archive."""
    written = write_batches(db, 1500)
    db.wait_durable(written[-1][0])
    db.flush()
    eventually(lambda: any(file.archived for file in db.get_sorted_wal_files()))
    assert len(db.get_sorted_wal_files()) > 3
    assert notes_of(db.get_updates_since(1)) == written


def test_from_any_sequence_number(db: replicad.Database) -> None:
    """An iterator begins with the batch that holds the number asked for, wherever in it that is."""
    written = write_batches(db, 400)
    db.wait_durable(written[-1][0])
    for start in range(1, written[-1][0] + 1, 7):
        update = next(db.get_updates_since(start))
        assert update.first_sequence <= start <= update.position.sequence
        assert notes_of(db.get_updates_since(start)) == [w for w in written if w[0] >= start]


def test_from_0_and_after_the_end(db: replicad.Database) -> None:
    """0 means the first there is; a closed iterator gives nothing any more, and says so."""
    updates = db.get_updates_since(0)
    fill(db, 3)
    db.wait_durable(3)
    assert [update.first_sequence for update in db.get_updates_since(0)] == [1, 2, 3]
    assert next(updates).first_sequence == 1
    updates.close()
    with pytest.raises(replicad.InvalidArgument, match="closed"):
        next(updates)


def test_a_reader_that_waits_follows_a_writer(db: replicad.Database) -> None:
    """A reader that waits follows a writer through rotations, flushes and archiving."""
    seen: list[tuple[int, bytes]] = []
    updates = db.get_updates_since(1)
    total = 2000

    def follow() -> None:
        while len(seen) < total and (update := updates.next(20)) is not None:
            note = update.batch.operations[-1].value
            seen.append((update.position.sequence, note or b""))

    reader = threading.Thread(target=follow)
    reader.start()
    written = write_batches(db, total)
    reader.join(30)
    assert seen == written


def test_log_that_is_gone_is_an_error_that_says_where_the_log_begins(tmp_path: Path) -> None:
    """What retention removed is a typed error that says where the log begins, never a later batch."""
    with replicad.open(tmp_path / "db", small_options(log_retention_bytes=0)) as database:
        updates = database.get_updates_since(1)
        fill(database, 1500)
        database.flush()
        eventually(lambda: len(database.get_sorted_wal_files()) == 1)
        first = database.oldest_log_sequence
        assert first > 1
        with pytest.raises(replicad.LogGoneError) as caught:
            database.get_updates_since(first - 1)
        assert (caught.value.requested, caught.value.first_available) == (first - 1, first)
        assert next(database.get_updates_since(first)).first_sequence == first
        with pytest.raises(replicad.LogGoneError):
            next(updates)


def test_an_iterator_at_the_end_goes_on_when_something_comes(db: replicad.Database) -> None:
    """At the end an iterator has nothing, and goes on when something comes."""
    updates = db.get_updates_since(1)
    assert list(updates) == []
    assert updates.next(timeout=0.01) is None
    db.put(b"a", b"1")
    db.wait_durable(1)
    assert [update.position.sequence for update in updates] == [1]


def test_the_log_of_earlier_runs_can_be_read_at_any_batch(tmp_path: Path) -> None:
    """The log of earlier runs, archived or live, can be read after a restart, at any batch."""
    with replicad.open(tmp_path / "db", small_options()) as database:
        written = write_batches(database, 600)
    with replicad.open(tmp_path / "db", small_options()) as database:
        written += write_batches(database, 600)
        database.wait_durable(written[-1][0])
        assert notes_of(database.get_updates_since(1)) == written
        middle = written[500][0]
        assert notes_of(database.get_updates_since(middle)) == written[500:]


def test_position_at_is_the_one_that_the_update_carries(db: replicad.Database) -> None:
    """The position of any batch can be looked up, and is the one its update carries."""
    write_batches(db, 300)
    db.wait_durable(db.appended_sequence)
    for update in db.get_updates_since(1):
        assert db.position_at(update.position.sequence) == update.position
        assert db.position_at(update.first_sequence) == update.position
    assert db.position_at(db.appended_sequence + 1) is None


def test_annotations_are_in_no_table(db: replicad.Database, tmp_path: Path) -> None:
    """Annotations are in the log, and in no byte of any table."""
    batch = WriteBatch()
    batch.put(b"k", b"v")
    batch.put_log_data(b"an-annotation-that-can-be-searched-for")
    db.write(batch)
    db.flush()
    tables = list((tmp_path / "db").glob("*.sst"))
    assert tables
    assert not any(b"annotation-that" in table.read_bytes() for table in tables)
    assert any(b"annotation-that" in log.read_bytes() for log in (tmp_path / "db").rglob("*.log"))


def test_an_exception_from_outside_takes_no_update(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it comes within a read, the same iterator goes on with the update that was not given yet."""

    def interrupted(*arguments: object, **options: object) -> Any:
        raise KeyboardInterrupt

    with replicad.open(tmp_path / "db", small_options(durability="sync", segment_bytes=4096)) as database:
        fill(database, 300)
        for place, name in (
            (kernels, "list_frames"),
            (kernels, "scan_frames"),
            (updates_module, "batch_from"),
            (LogCursor, "_read"),
            (LogCursor, "_enter"),
        ):
            updates = database.get_updates_since(1)
            seen = [next(updates).position.sequence]
            while len(seen) < 300:
                with monkeypatch.context() as patched:
                    patched.setattr(place, name, interrupted)
                    with contextlib.suppress(KeyboardInterrupt, StopIteration):
                        while True:
                            seen.append(next(updates).position.sequence)
                seen += [update.position.sequence for update in itertools.islice(updates, 1)]
            assert seen == list(range(1, 301)), name


def test_a_second_thread_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told so, and not that the log is damaged; the first goes on."""
    with replicad.open(tmp_path / "db", small_options(durability="sync")) as database:
        fill(database, 3)
        updates = database.get_updates_since(1)
        reading, go_on = threading.Event(), threading.Event()
        seen: list[int] = []
        read = LogCursor.next

        def slow(cursor: LogCursor, *arguments: Any) -> Any:
            reading.set()
            assert go_on.wait(30)
            return read(cursor, *arguments)

        monkeypatch.setattr(LogCursor, "next", slow)
        thread = threading.Thread(target=lambda: seen.extend(update.position.sequence for update in updates))
        thread.start()
        assert reading.wait(30)
        with pytest.raises(StoreError, match="another thread uses this iterator"):
            next(updates)
        go_on.set()
        thread.join(30)
        assert seen == [1, 2, 3]
