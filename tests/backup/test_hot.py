"""Backups of a database that is written at full speed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import replicad
from replicad import BackupEngine, Database
from replicad.store.database import open_database
from tests.support.backups.watched import brought_back
from tests.support.stores.small import fill, small_options
from tests.support.waiting import eventually


@contextmanager
def written_all_the_while(database: Database) -> Iterator[list[int]]:
    """Another thread overwrites, adds and deletes meanwhile; the list has the number of its batches."""
    done = threading.Event()
    batches = [0]

    def write() -> None:
        while not done.is_set():
            batch = replicad.WriteBatch()
            for number in range(20):
                batch.put(b"key-%06d" % ((batches[0] * 7 + number) % 3000), b"w%d" % batches[0])
            batch.delete(b"key-%06d" % (batches[0] % 3000))
            database.write(batch)
            batches[0] += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield batches
    finally:
        done.set()
        thread.join(30)


@pytest.mark.parametrize("flush", [False, True])
def test_the_content_is_the_cuts(tmp_path: Path, flush: bool) -> None:
    """Whatever flushes and merges meanwhile, a backup equals a full scan of its cut's snapshot."""
    with (
        replicad.open(tmp_path / "db", small_options()) as database,
        BackupEngine(tmp_path / "backups") as engine,
    ):
        fill(database, 1000)
        expected: dict[int, tuple[str, str]] = {}
        with written_all_the_while(database) as batches:
            for _ in range(5):
                with database.cut(flush=flush) as cut:
                    info = engine.create_backup(cut)
                    expected[info.id] = str(cut.position), cut.snapshot.digest()
                before = batches[0]
                eventually(lambda before=before: batches[0] > before + 1)  # type: ignore[misc]
                assert engine.create_backup(database).position.sequence > info.position.sequence
        for id, (position, digest) in expected.items():
            path = brought_back(engine, id, tmp_path / f"{id}")
            with replicad.open(path, small_options(), read_only=True) as copy:
                assert (str(copy.position), copy.digest()[1]) == (position, digest)
        assert engine.verify_backups(checksums=True).ok


def test_a_stream_goes_on_where_the_backup_ends(tmp_path: Path) -> None:
    """A replica on what was brought back takes its original's log at exactly the next sequence number."""

    with (
        replicad.open(tmp_path / "db", small_options()) as database,
        BackupEngine(tmp_path / "backups") as engine,
    ):
        fill(database, 700)
        info = engine.create_backup(database)
        fill(database, 100, start=700)
        path = brought_back(engine, info.id, tmp_path / "replica")
        with open_database(path, small_options(), role="replica") as replica:
            assert replica.database_id == database.database_id
            assert replica.position == info.position
            eventually(lambda: database.durable_sequence == database.latest_sequence)
            updates = list(database.get_updates_since(info.position.sequence + 1))
            assert updates[0].position.sequence == info.position.sequence + 1
