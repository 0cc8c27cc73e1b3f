"""Interrupted writes, closing beside writers, and listeners that are gone."""

from __future__ import annotations

import _thread
import asyncio
import errno
import shutil
import threading
import time
from pathlib import Path
from typing import Any, Literal

import pytest

import replicad
from replicad import kernels
from replicad.env import Env
from replicad.env.filesystem import Bytes
from replicad.errors import LockedError
from replicad.store.copies.cut import Cut
from replicad.store.database import Database, open_database
from replicad.store.holds.leases import Lease
from replicad.store.updates import Update
from replicad.store.write.commit import Commit
from tests.support.files.faulty_filesystem import FaultyFileSystem, Gate, no_space
from tests.support.files.open_files import open_files
from tests.support.stores.small import fill, small_options
from tests.support.waiting import eventually


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_an_interrupted_append_leaves_no_trace(tmp_path: Path, durability: Literal["sync", "async"]) -> None:
    """Ctrl-C in the middle of a put's append: what it left is cut back, and the next put follows what was
    before."""
    database = replicad.open(tmp_path / "db", small_options(durability=durability))
    database.put(b"a", b"1")
    file = database._writer().core.log.live_file
    assert file is not None
    whole = file.write

    def half(data: Bytes) -> int:
        whole(data[:20])
        raise KeyboardInterrupt

    file.write = half  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        database.put(b"b", b"2")
    file.write = whole  # type: ignore[method-assign]
    database.put(b"c", b"3")
    assert [update.position.sequence for update in read_updates(database)] == [1, 2]
    database.create_checkpoint(tmp_path / "copy")
    database.close()
    for directory in ("db", "copy"):
        with replicad.open(tmp_path / directory, small_options()) as again:
            assert list(again.scan()) == [(b"a", b"1"), (b"c", b"3")]


def read_updates(database: Database) -> list[Update]:
    """All of them, when they are durable."""
    assert database.wait_durable(database.appended_sequence, 10)
    return list(database.get_updates_since(1))


def test_who_waits_for_a_sync_is_interrupted_and_the_sync_is_not(tmp_path: Path) -> None:
    """An exception from outside while a put waits: its failure is noted all the same, and nothing is
    acknowledged."""
    fs = FaultyFileSystem()
    database = open_database(tmp_path / "db", small_options(durability="sync"), env=Env(fs=fs))
    database.put(b"a", b"1")

    def fail(path: Path) -> None:
        _thread.interrupt_main()
        raise OSError(errno.EIO, "Input/output error")

    fs.on_sync = fail
    with pytest.raises((KeyboardInterrupt, replicad.PoisonedError)):
        database.put(b"b", b"2")
    fs.on_sync = None
    with pytest.raises(replicad.PoisonedError):
        database.put(b"c", b"3")
    database.close()


def test_closing_refuses_writes_that_it_would_not_sync(tmp_path: Path) -> None:
    """A writer beside `close` gets ClosedError, or its write is there at the next opening."""
    fs = FaultyFileSystem()
    options = small_options(memtable_bytes=64 << 20)  # no stall while the gate is closed
    database = open_database(tmp_path / "db", options, env=Env(fs=fs))
    gate = Gate()
    fs.on_sync = gate
    database.put(b"first", b"")
    assert gate.reached.wait(10)
    closer = threading.Thread(target=database.close)
    closer.start()
    written = 1
    deadline = time.monotonic() + 10
    with pytest.raises(replicad.ClosedError):
        while time.monotonic() < deadline:
            written = database.put(b"%d" % written, b"")
    gate.open.set()
    closer.join(10)
    assert database.failed is None
    with replicad.open(tmp_path / "db", small_options()) as again:
        assert again.latest_sequence == written


def test_a_closed_loop_does_not_stop_the_store(tmp_path: Path) -> None:
    """Waiters and listeners whose event loop is gone are forgotten."""
    fs = FaultyFileSystem()
    database = open_database(tmp_path / "db", small_options(durability="sync"), env=Env(fs=fs))
    gate = Gate()
    fs.on_sync = gate

    async def leave_early() -> None:
        batch = replicad.WriteBatch()
        batch.put(b"a", b"1")
        loop = asyncio.get_running_loop()

        def tell() -> None:
            loop.call_soon_threadsafe(print)

        database.subscribe(tell)
        commit = database.submit(batch)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(shown(commit), 0.01)

    async def shown(commit: Commit) -> None:
        await commit

    asyncio.run(leave_early())
    gate.open.set()
    assert database.wait_durable(1, 10)
    assert database.put(b"b", b"2") == 2
    assert database.failed is None
    database.close()


def test_an_archive_without_room_stops_nobody(tmp_path: Path) -> None:
    """Flushes go on beside it, and so do writers; with room again the log is archived."""

    class FullArchive(FaultyFileSystem):
        full = False

        def link(self, source: Path, target: Path) -> None:
            if self.full:
                no_space(target)
            super().link(source, target)

    fs = FullArchive()
    database = open_database(tmp_path / "db", small_options(), env=Env(fs=fs))
    fs.full = True
    fill(database, 600)
    database.flush()
    eventually(lambda: "archive" in database._writer().core.no_room)
    fill(database, 3000, start=600)
    database.flush()
    assert database.refused is None and database.failed is None
    assert not any(file.archived for file in database.get_sorted_wal_files())
    fs.full = False
    eventually(lambda: any(file.archived for file in database.get_sorted_wal_files()))
    eventually(lambda: not database._writer().core.no_room)
    assert sum(1 for _ in database.scan()) == 3600
    database.close()


def test_a_merge_of_the_caller_ends_before_close_does(tmp_path: Path) -> None:
    """A merge that the caller runs ends before `close` does, with ClosedError or done."""
    database = replicad.open(tmp_path / "db", small_options())
    fill(database, 1500)
    ends: list[BaseException | None] = []

    def compact() -> None:
        try:
            database.compact()
            ends.append(None)
        except BaseException as error:
            ends.append(error)

    thread = threading.Thread(target=compact)
    thread.start()
    database.close()
    before = sorted((tmp_path / "db").iterdir())
    thread.join(20)
    assert ends and (ends[0] is None or isinstance(ends[0], replicad.ClosedError))
    assert sorted((tmp_path / "db").iterdir()) == before
    with replicad.open(tmp_path / "db", small_options()) as again:
        assert sum(1 for _ in again.scan()) == 1500


def test_what_is_dropped_is_let_go(tmp_path: Path) -> None:
    """A snapshot or a cut that nobody has any more holds neither sequence numbers nor files, closed or
    not."""
    with replicad.open(tmp_path / "db", small_options()) as database:
        fill(database, 100)
        held = [database.snapshot(), database.cut(flush=True, holder="test")]
        stats = database.stats()
        assert (stats["snapshots"], len(stats["leases"])) == (1, 1)
        held.clear()
        stats = database.stats()
        assert (stats["snapshots"], stats["leases"]) == (0, [])
        assert not database._writer().core.pins.log_from()


def open_tables(directory: Path) -> list[str]:
    return [path for path in open_files(directory) if ".sst" in path]


def test_closing_lets_go_of_tables(tmp_path: Path) -> None:
    """Whoever still has the closed database, or a snapshot or a cut of it, is told so, and tables that are
    removed afterwards give back their space."""
    database = replicad.open(tmp_path / "db", small_options())
    fill(database, 100)
    database.flush()
    snapshot, cut = database.snapshot(), database.cut(holder="test")
    pairs = database.scan()
    assert next(pairs)[0] == b"key-000000"
    database.close()
    with pytest.raises(replicad.ClosedError):
        database.get(b"key-000000")
    with pytest.raises(replicad.ClosedError):
        snapshot.get(b"key-000000")
    with pytest.raises(replicad.ClosedError, match="the database was closed"):
        cut.raise_if_closed()
    assert sum(1 for _ in pairs) == 99  # a reader that had begun goes on to its end
    del pairs
    assert open_tables(tmp_path) == []


def test_frames_that_are_half_applied_stop_a_replica(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are in its log and not all in its memtables: what it would show and apply next is another history,
    and the next opening has them all."""
    with replicad.open(tmp_path / "db", small_options()) as primary:
        fill(primary, 5)
        primary.create_checkpoint(tmp_path / "copy")
        fill(primary, 5, start=5)
        primary.wait_durable(10)
        chunk = primary.read_log(6).next()
        assert chunk is not None

    def interrupted(*arguments: object) -> tuple[int, list[object]]:
        raise MemoryError

    replica = open_database(tmp_path / "copy", small_options(), role="replica")
    with monkeypatch.context() as patched:
        patched.setattr(kernels, "apply_frames", interrupted)
        with pytest.raises(MemoryError):
            replica.apply_frames(chunk.frames)
    assert replica.failed is not None
    with pytest.raises(replicad.PoisonedError):
        replica.apply_frames(chunk.frames)
    replica.close()
    with open_database(tmp_path / "copy", small_options(), role="replica") as again:
        assert again.position == chunk.position and sum(1 for _ in again.scan()) == 10


def test_a_cut_beside_a_close_is_whole_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never a copy of nothing: at whichever moment the database is closed, the cut says so."""
    database = open_database(tmp_path / "db", small_options())
    fill(database, 100)
    database.flush()
    leases = database._core.leases
    take = leases.take

    def close_first(*arguments: Any) -> Lease:
        database.close()
        return take(*arguments)

    monkeypatch.setattr(leases, "take", close_first)
    for _ in range(2):  # closed while the cut is taken, and before
        with pytest.raises(replicad.ClosedError):
            Cut(database._writer().core, database._writer().syncer, holder="late")
    assert leases.describe() == []


def test_two_threads_close_one_database(tmp_path: Path) -> None:
    """The second waits for the first, and when either returns the directory is free."""
    failures: list[Exception] = []

    def close(database: Database, barrier: threading.Barrier) -> None:
        barrier.wait()
        try:
            database.close()
            database._core.env.fs.lock(tmp_path / "db" / "LOCK").release()
        except LockedError:
            pass  # by the other of the two
        except Exception as error:
            failures.append(error)

    for _ in range(20):
        database = open_database(tmp_path / "db", small_options())
        fill(database, 20)
        barrier = threading.Barrier(2)
        threads = [threading.Thread(target=close, args=(database, barrier)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures


def test_an_opening_that_fails_late_lets_go_of_the_directory(tmp_path: Path) -> None:
    """A promotion that a crash cut short, and whose first frame finds no room at the next opening."""
    with replicad.open(tmp_path / "db", small_options()) as database:
        database.put(b"a", b"1")
        database.create_checkpoint(tmp_path / "copy")
    replica = open_database(tmp_path / "copy", small_options(), role="replica")
    writes = replica._writer()

    def crash(record: object) -> None:
        shutil.copytree(tmp_path / "copy", tmp_path / "crashed")
        raise KeyboardInterrupt

    writes.control.begin_epoch = crash  # type: ignore[method-assign,assignment]
    with pytest.raises(KeyboardInterrupt):
        replica.promote(b"i" * 16)
    replica.close()
    fs = FaultyFileSystem()
    fs.on_append = lambda path: no_space(path) if path.suffix == ".log" else None
    threads = set(threading.enumerate())
    with pytest.raises(replicad.DiskFullError):
        open_database(tmp_path / "crashed", small_options(), env=Env(fs=fs))
    assert set(threading.enumerate()) <= threads
    fs.on_append = None
    with open_database(tmp_path / "crashed", small_options(), env=Env(fs=fs)) as again:
        assert again.position.epoch == 2
