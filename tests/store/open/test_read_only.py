"""Reading a directory that another database writes: the state of the opening, and what `refresh` adds."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

import replicad
from replicad.errors import CatchUpError
from replicad.store.database import open_database
from tests.support.files.memory_filesystem import MemoryFileSystem
from tests.support.inline_runner import InlineRunner, inline_env
from tests.support.stores.small import fill, small_options


def test_refresh_shows_a_reader_what_is_there_now(tmp_path: Path) -> None:
    """A reader sees what was there when it opened, and after `refresh` what is there now."""
    with replicad.open(tmp_path / "db", small_options()) as writer:
        fill(writer, 100)
        with open_database(tmp_path / "db", small_options(), read_only=True) as reader:
            assert reader.position == writer.position
            assert not reader.refresh()
            before = reader.snapshot()
            fill(writer, 600, start=100, value=b"new")
            writer.compact()
            writer.delete(b"key-000000")
            assert reader.get(b"key-000100") is None
            assert reader.refresh()
            assert reader.position == writer.position
            assert reader.digest() == writer.digest()
            assert reader.newest.get(b"key-000000") is None
            assert before.get(b"key-000000") is not None
            assert sum(1 for _ in before.scan()) == 100
            assert not reader.refresh()


def test_refresh_of_a_writer(tmp_path: Path) -> None:
    """What one writes oneself is always there: nothing changes."""
    with replicad.open(tmp_path / "db", small_options()) as db:
        db.put(b"a", b"1")
        assert not db.refresh()
    with pytest.raises(replicad.ClosedError):
        db.refresh()


def test_beside_a_busy_writer(tmp_path: Path) -> None:
    """Openings and refreshes beside flushes, compactions and moving segments each see a whole prefix."""
    stop = threading.Event()
    options = small_options(log_retention_bytes=64 * 1024)
    with replicad.open(tmp_path / "db", options) as writer:
        writer.put(b"count", b"-1")

        def write() -> None:
            number = 0
            while not stop.is_set():
                batch = replicad.WriteBatch()
                batch.put(b"count", b"%d" % number)
                batch.put(b"n-%03d" % (number % 1000), b"%d" % number + b"x" * 100)
                writer.write(batch)
                number += 1

        def check(reader: replicad.Database) -> int:
            count = int(reader.get(b"count") or b"")
            assert reader.position.sequence == 2 * count + 3
            values = [int(value.rstrip(b"x")) for _, value in reader.scan(prefix=b"n-")]
            assert sorted(values) == list(range(max(0, count - 999), count + 1))
            return count

        thread = threading.Thread(target=write)
        thread.start()
        try:
            last = -1
            follower = open_database(tmp_path / "db", options, read_only=True)
            for _ in range(25):
                with open_database(tmp_path / "db", options, read_only=True) as reader:
                    count = check(reader)
                    assert count >= last
                follower.refresh()
                last = check(follower)
                assert last >= count
            follower.close()
            flushes = writer.stats()["flushes"]
        finally:
            stop.set()
            thread.join()
        assert flushes >= 1


def test_damage_is_still_damage(tmp_path: Path) -> None:
    """A missing table of a database that nobody writes is corruption at once."""
    with replicad.open(tmp_path / "db", small_options()) as db:
        fill(db, 100)
        db.flush()
    next((tmp_path / "db").glob("*.sst")).unlink()
    with pytest.raises(replicad.CorruptionError, match="missing"):
        replicad.open(tmp_path / "db", read_only=True)


def test_log_that_goes_while_a_reader_opens(tmp_path: Path) -> None:
    """What is flushed and removed between the manifest and the log is not missed: the reader looks again."""
    options = small_options(log_retention_bytes=0, durability="sync", level0_compaction_tables=8)
    fs, runner = MemoryFileSystem(), InlineRunner()
    writer = open_database(Path("/db"), options, env=inline_env(fs, runner))
    writer.put(b"before", b"1")
    writer.flush()
    runner.run_all()
    writer.put(b"acknowledged", b"2")
    looks = 0

    def flush_meanwhile(call: str, path: Path, size: int) -> None:
        nonlocal looks
        if call == "list" and path.name == "wal":
            looks += 1
            if looks == 2:  # the first looks for changes, the second for the log
                writer.put(b"large", b"v" * 100_000)
                writer.flush()
                runner.run_all()

    fs.before = flush_meanwhile
    with open_database(Path("/db"), options, env=inline_env(fs, InlineRunner()), read_only=True) as reader:
        assert reader.get(b"acknowledged") == b"2"
    assert looks > 2 and fs.list(Path("/db/wal")) == []
    writer.close()


def test_a_writer_that_is_always_faster_is_not_corruption(tmp_path: Path) -> None:
    """When every state that is tried is gone before it is open, the reader is told that, and may try
    again."""
    options = small_options(log_retention_bytes=0, durability="sync")
    fs, runner = MemoryFileSystem(), InlineRunner()
    writer = open_database(Path("/db"), options, env=inline_env(fs, runner))
    fill(writer, 50)
    writer.flush()
    busy = True

    def compact_meanwhile(call: str, path: Path, size: int) -> None:
        nonlocal busy
        if busy and call == "open" and path.suffix == ".sst":
            busy = False
            fill(writer, 50)
            writer.compact()
            runner.run_all()
            busy = True

    fs.before = compact_meanwhile
    with pytest.raises(CatchUpError, match="try again"):
        open_database(Path("/db"), options, env=inline_env(fs, InlineRunner()), read_only=True)
    fs.before = lambda call, path, size: None
    with open_database(Path("/db"), options, env=inline_env(fs, InlineRunner()), read_only=True) as reader:
        assert sum(1 for _ in reader.scan()) == 50
    writer.close()
