"""What is acknowledged and shown when, and what happens when the disk fails."""

from __future__ import annotations

import queue
import threading
from pathlib import Path

import pytest

import replicad
from replicad import WriteBatch
from replicad.env import Env, ThreadRunner
from replicad.store.database import open_database
from tests.support.files.faulty_filesystem import FaultyFileSystem, Gate, io_error, no_space
from tests.support.files.memory_filesystem import MemoryFileSystem
from tests.support.inline_runner import InlineRunner, inline_env
from tests.support.stores.small import fill, small_options
from tests.support.waiting import eventually


def is_log(path: Path) -> bool:
    return path.suffix == ".log"


def test_sync_shows_only_what_is_durable(tmp_path: Path) -> None:
    """Under "sync" a batch is invisible to readers, though newest sees it, until its sync has returned."""
    fs = FaultyFileSystem()
    database = open_database(tmp_path / "db", small_options(durability="sync"), env=Env(fs=fs))
    gate = Gate()
    fs.on_sync = gate
    batch = WriteBatch()
    batch.put(b"k", b"v")
    commit = database.submit(batch)
    assert gate.reached.wait(10)
    assert database.get(b"k") is None and not commit.visible
    assert database.newest.get(b"k") == b"v"
    assert (database.latest_sequence, database.appended_sequence) == (0, 1)
    assert list(database.get_updates_since(1)) == []
    gate.open.set()
    assert commit.wait(10)
    assert database.get(b"k") == b"v"
    database.close()


def test_async_ships_only_what_is_durable(tmp_path: Path) -> None:
    """Under "async" a batch is visible at once, and leaves the log only when it is durable."""
    fs = FaultyFileSystem()
    database = open_database(tmp_path / "db", small_options(), env=Env(fs=fs))
    gate = Gate()
    fs.on_sync = gate
    database.put(b"k", b"v")
    assert database.get(b"k") == b"v"
    assert gate.reached.wait(10)
    assert database.read_log(1).next() is None
    gate.open.set()
    assert database.wait_durable(1, 10)
    chunk = database.read_log(1).next()
    assert chunk is not None and chunk.last_sequence == 1
    database.close()


class PatientRunner(ThreadRunner):
    """Between two syncs passes as much time as it takes until somebody hurries."""

    def rest(self, seconds: float, bell: queue.SimpleQueue[None], /) -> None:
        bell.get(timeout=60)


def test_a_sync_that_somebody_waits_for_is_not_paced(tmp_path: Path) -> None:
    """Under "async" syncs take their time, unless the store is told to hurry."""
    database = open_database(tmp_path / "db", small_options(), env=Env(runner=PatientRunner()))
    for number in range(1, 4):
        database.put(b"k", b"v")
        database.hurry_sync()
        assert database.wait_durable(number, 20)
    database.close()


def test_a_family_is_there_when_it_is_durable(tmp_path: Path) -> None:
    """Its record is visible, and leaves the log, no earlier than a batch would be."""
    fs = FaultyFileSystem()
    database = open_database(tmp_path / "db", small_options(durability="sync"), env=Env(fs=fs))
    database.put(b"k", b"v")
    gate = Gate()
    fs.on_sync = gate
    database.submit_create_family("later")
    assert gate.reached.wait(10)
    assert database.latest_sequence == 1
    assert database.read_log(2).next() is None
    gate.open.set()
    assert database.wait_durable(2, 10)
    assert database.latest_sequence == 2
    assert database.read_log(2).next() is not None
    database.close()


def test_a_table_waits_until_its_log_is_durable(tmp_path: Path) -> None:
    """A flush publishes nothing that the log could still lose."""
    fs = FaultyFileSystem()
    database = open_database(tmp_path / "db", small_options(), env=Env(fs=fs))
    gate = Gate()
    fs.on_sync = lambda path: gate(path) if is_log(path) else None
    database.put(b"k", b"v")
    assert gate.reached.wait(10)
    flushing = threading.Thread(target=database.flush)
    flushing.start()
    core = database._core
    # The caller waits for the flush, and the flush for the log.
    eventually(lambda: core.progress.synced.waiting or core.version.flushed.sequence > 0)
    assert core.version.flushed.sequence == 0
    gate.open.set()
    flushing.join()
    assert core.version.flushed.sequence == 1
    database.close()


def test_batches_that_arrive_during_a_sync_share_the_next_one(tmp_path: Path) -> None:
    """Batches that arrive during a sync share the next one."""
    fs = FaultyFileSystem()
    database = open_database(tmp_path / "db", small_options(durability="sync"), env=Env(fs=fs))
    database.put(b"first", b"")
    gate = Gate()
    fs.on_sync = gate
    before = len(fs.syncs)
    threads = [threading.Thread(target=database.put, args=(b"%d" % n, b"")) for n in range(20)]
    for thread in threads:
        thread.start()
    eventually(lambda: database.appended_sequence == 21)
    gate.open.set()
    for thread in threads:
        thread.join()
    assert len([path for path in fs.syncs[before:] if is_log(path)]) <= 3
    database.close()


def test_failed_sync_poisons(tmp_path: Path) -> None:
    """After a failed sync nothing is acknowledged any more, even if the disk recovers; reads go on."""
    fs = FaultyFileSystem()
    database = open_database(tmp_path / "db", small_options(durability="sync"), env=Env(fs=fs))
    database.put(b"good", b"1")
    fs.on_sync = io_error
    with pytest.raises(replicad.PoisonedError):
        database.put(b"lost", b"2")
    fs.on_sync = None
    with pytest.raises(replicad.PoisonedError):
        database.put(b"later", b"3")
    assert database.failed is not None
    assert database.get(b"good") == b"1"
    assert database.get(b"lost") is None
    database.close()
    with replicad.open(tmp_path / "db", small_options()) as again:
        assert again.get(b"good") == b"1"
        assert again.get(b"later") is None


def test_a_failed_sync_is_not_tried_again(tmp_path: Path) -> None:
    """The second one would succeed, for the pages that were lost are clean by then."""
    fs = FaultyFileSystem()
    database = open_database(tmp_path / "db", small_options(durability="sync"), env=Env(fs=fs))

    def once(path: Path) -> None:
        fs.on_sync = None
        io_error(path)

    fs.on_sync = once
    with pytest.raises(replicad.PoisonedError):
        database.put(b"lost", b"1")
    assert database.failed is not None
    database.close()


def test_what_is_written_during_a_sync_waits_for_the_next() -> None:
    """Durable is what was written when the sync began: later pages may not be in it."""
    fs, runner = MemoryFileSystem(), InlineRunner()
    env = inline_env(fs, runner)
    database = open_database(Path("/db"), small_options(durability="sync"), env=env)
    batch = replicad.WriteBatch()
    batch.put(b"later", b"2")

    def write_beside(call: str, path: Path, size: int) -> None:
        if call == "sync" and is_log(path) and database.appended_sequence == 1:
            database.submit(batch)

    fs.before = write_beside
    database.put(b"first", b"1")
    assert (database.appended_sequence, database.durable_sequence) == (2, 1)
    runner.run_all()
    assert database.durable_sequence == 2
    database.close()


def test_full_disk_refuses_and_heals(tmp_path: Path) -> None:
    """A full disk refuses the write and keeps nothing of it; with room again writes go on, without a gap."""
    fs = FaultyFileSystem()
    database = open_database(tmp_path / "db", small_options(), env=Env(fs=fs))
    database.put(b"a", b"1")
    fs.on_append = no_space
    for _ in range(3):
        with pytest.raises(replicad.DiskFullError):
            database.put(b"refused", b"x" * 1000)
    assert database.get(b"refused") is None and database.newest.get(b"refused") is None
    assert database.get(b"a") == b"1"
    fs.on_append = None
    assert database.put(b"b", b"2") == 2
    database.close()
    with replicad.open(tmp_path / "db", small_options()) as again:
        assert [update.first_sequence for update in again.get_updates_since(1)] == [1, 2]
        assert list(again.scan()) == [(b"a", b"1"), (b"b", b"2")]


def test_full_disk_at_a_new_segment(tmp_path: Path) -> None:
    """No room for its header refuses the write that it was made for, and leaves no file of that name."""
    fs = FaultyFileSystem()
    with open_database(tmp_path / "db", small_options(segment_bytes=4096), env=Env(fs=fs)) as database:
        for expected in (1, 2):
            fs.on_append = lambda path: no_space(path) if is_log(path) else None
            before = sorted((tmp_path / "db" / "wal").iterdir())
            with pytest.raises(replicad.DiskFullError, match="no room to write the log"):
                database.put(b"refused", b"")
            assert sorted((tmp_path / "db" / "wal").iterdir()) == before and database.failed is None
            fs.on_append = None
            assert database.put(b"k", b"v" * 5000) == expected


def test_full_disk_while_flushing(tmp_path: Path) -> None:
    """A flush that finds no room says so, is tried again, and loses nothing."""
    fs = FaultyFileSystem()
    database = open_database(tmp_path / "db", small_options(), env=Env(fs=fs))
    fill(database, 100)
    failed = threading.Event()

    def no_room_for_tables(path: Path) -> None:
        if path.suffix == ".sst":
            failed.set()
            no_space(path)

    fs.on_append = no_room_for_tables
    for _ in range(2):
        with pytest.raises(replicad.DiskFullError, match="not flushed: the disk is full"):
            database.flush()
    assert failed.is_set()
    assert database.get(b"key-000001") is not None
    fs.on_append = None
    eventually(lambda: database.flushed_sequence == 100)
    database.flush()
    assert sum(1 for _ in database.scan()) == 100
    assert database.failed is None
    database.close()


def test_append_error_poisons(tmp_path: Path) -> None:
    """An append that fails with anything but a full disk stops the store."""
    fs = FaultyFileSystem()
    database = open_database(tmp_path / "db", small_options(), env=Env(fs=fs))
    database.put(b"a", b"1")
    fs.on_append = io_error
    with pytest.raises(replicad.PoisonedError):
        database.put(b"b", b"2")
    fs.on_append = None
    with pytest.raises(replicad.PoisonedError):
        database.put(b"c", b"3")
    database.close()


def test_table_waits_for_log(tmp_path: Path) -> None:
    """No table is published before the log is durable through its last sequence number."""
    fs = FaultyFileSystem()
    database = open_database(tmp_path / "db", small_options(), env=Env(fs=fs))
    gate = Gate()

    def hold_log(path: Path) -> None:
        if is_log(path):
            gate(path)

    fs.on_sync = hold_log
    fill(database, 50)
    flusher = threading.Thread(target=database.flush)
    flusher.start()
    assert gate.reached.wait(10)
    assert database.stats()["tables"] == 0
    gate.open.set()
    flusher.join(20)
    assert database.stats()["tables"] >= 1
    database.close()


def test_log_whose_sync_failed_is_written_again(tmp_path: Path) -> None:
    """The kernel may hold its pages as clean then, so that a later sync would say that all is well: a lie."""
    fs = FaultyFileSystem()
    database = open_database(tmp_path / "db", small_options(durability="sync"), env=Env(fs=fs))
    database.put(b"a", b"1")
    fs.on_sync = io_error
    with pytest.raises(replicad.PoisonedError):
        database.put(b"b", b"2")
    fs.on_sync = None
    database.close()
    (segment,) = (tmp_path / "db" / "wal").glob("*.log")
    in_doubt = segment.stat().st_ino
    for synced in (True, False):
        fs.syncs.clear()
        with open_database(tmp_path / "db", small_options(), env=Env(fs=fs)) as again:
            assert again.get(b"b") == b"2"
        assert (segment.with_name(f"{segment.name}.tmp") in fs.syncs) is synced
    assert segment.stat().st_ino != in_doubt


@pytest.mark.parametrize("what", ["wal", "MANIFEST"])
def test_a_sync_that_failed_elsewhere_poisons(tmp_path: Path, what: str) -> None:
    """The name of a new segment, an edit of the manifest: what was to be durable with it nobody knows."""
    fs = FaultyDirectories()
    database = open_database(tmp_path / "db", small_options(durability="sync"), env=Env(fs=fs))
    if what == "MANIFEST":
        database.put(b"a", b"1")
        fs.on_sync = lambda path: io_error(path) if path.name.startswith(what) else None
        with pytest.raises(replicad.PoisonedError):
            database.flush()
    else:
        fs.failing = tmp_path / "db" / what
        with pytest.raises(replicad.PoisonedError):
            database.put(b"a", b"1")
    fs.failing = fs.on_sync = None
    assert database.failed is not None
    with pytest.raises(replicad.PoisonedError):
        database.put(b"later", b"2")
    database.close()


class FaultyDirectories(FaultyFileSystem):
    """Syncs of the directory `failing` fail, and so do those of files within it that were there before."""

    failing: Path | None = None

    def sync_directory(self, path: Path) -> None:
        if path == self.failing:
            io_error(path)
        super().sync_directory(path)

    def sync_file(self, path: Path) -> None:
        if path.parent == self.failing:
            io_error(path)
        super().sync_file(path)


def test_recovered_log_whose_sync_failed_is_written_again(tmp_path: Path) -> None:
    """An opening that could not sync what it found leaves the same doubt behind as a writer."""
    fs = FaultyDirectories()
    with replicad.open(tmp_path / "db", small_options()) as database:
        database.put(b"a", b"1")
    (segment,) = (tmp_path / "db" / "wal").glob("*.log")
    in_doubt = segment.stat().st_ino
    fs.failing = tmp_path / "db" / "wal"
    with pytest.raises(OSError, match="Input/output error"):
        open_database(tmp_path / "db", small_options(), env=Env(fs=fs))
    fs.failing = None
    with open_database(tmp_path / "db", small_options(), env=Env(fs=fs)) as again:
        assert again.get(b"a") == b"1"
    assert segment.stat().st_ino != in_doubt
