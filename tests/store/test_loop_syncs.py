"""What is written on an event loop's thread is synced for that loop."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from replicad.env import AppendFile, Env, Lane, LocalFileSystem, ThreadRunner
from replicad.env.local import LocalAppendFile
from replicad.errors import PoisonedError
from replicad.store.database import Database, open_database
from replicad.store.wal.doubt import is_doubted
from tests.support.stores.small import small_options
from tests.support.waiting import until


class Disk(LocalFileSystem):
    """`instead` is a descriptor that is synced in place of each log's."""

    def __init__(self) -> None:
        self.instead: int | None = None

    def create(self, path: Path) -> AppendFile:
        return _File(self, path)


class _File(LocalAppendFile):
    def __init__(self, disk: Disk, path: Path) -> None:
        super().__init__(path)
        self._disk = disk

    @property
    def descriptor(self) -> int | None:
        return super().descriptor if self._disk.instead is None else self._disk.instead


class LateRunner(ThreadRunner):
    """The thread that syncs for the loop comes when `begin` is set."""

    def __init__(self) -> None:
        self.begin = threading.Event()

    def lane(self, name: str) -> Lane:
        lane = super().lane(name)
        if name == "loop-sync":
            lane.submit(self._wait)
        return lane

    def _wait(self) -> None:
        self.begin.wait(30)


def opened(path: Path, disk: LocalFileSystem, runner: ThreadRunner | None = None) -> Database:
    """With its first segment made and durable; what it syncs from now on is the live file."""
    env = Env(fs=disk, runner=runner or ThreadRunner())
    database = open_database(path / "db", small_options(durability="sync"), env=env)
    database.put(b"first", b"1")
    return database


def on_loop(play: Callable[[], object]) -> None:
    async def run() -> None:
        result = play()
        if asyncio.iscoroutine(result):
            await result

    asyncio.run(run())


def test_what_the_loop_submits_becomes_durable_without_the_lane(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each submit is visible after a sync that no Python thread made."""
    database = opened(tmp_path, Disk())

    async def play() -> None:
        database.sync_for_loop()

        def never(descriptor: int) -> None:
            raise AssertionError("the lane synced")

        with monkeypatch.context() as patched:
            patched.setattr(os, "fdatasync", never)
            for number in range(20):
                last = database.submit_many([(b"key%d" % number, b"value"), (b"other", b"value")])
                await until(lambda last=last: database.latest_sequence >= last)  # type: ignore[misc]
        assert database.durable_sequence == last

    on_loop(play)
    database.close()


def test_a_group_forms_while_a_sync_runs(tmp_path: Path) -> None:
    """What is submitted meanwhile is not durable with that sync, and all of it is with the next one."""
    disk, runner = Disk(), LateRunner()
    database = opened(tmp_path, disk, runner)
    seen: list[int] = []

    async def play() -> None:
        database.sync_for_loop()
        first = database.submit_many([(b"first", b"value")])
        for number in range(20):
            last = database.submit_many([(b"key%d" % number, b"value")])
        unsubscribe = database.subscribe(lambda: seen.append(database.durable_sequence))
        runner.begin.set()
        await until(lambda: database.durable_sequence == last)
        assert seen == [first, last]
        unsubscribe()

    on_loop(play)
    database.close()


def test_a_failed_sync_for_the_loop_poisons(tmp_path: Path) -> None:
    """Nothing of it becomes visible, nothing more is acknowledged, and the next opening knows the doubt."""
    disk = Disk()
    database = opened(tmp_path, disk)
    reading, writing = os.pipe()  # fdatasync of it fails

    async def play() -> None:
        database.sync_for_loop()
        disk.instead = writing
        database.submit_many([(b"lost", b"value")])
        database.submit_many([(b"lost as well", b"value")])
        await until(lambda: database.failed is not None)
        disk.instead = None
        assert "could not be synced" in str(database.failed)
        assert database.get(b"lost") is None and database.durable_sequence == 1
        with pytest.raises(PoisonedError):
            database.submit_many([(b"later", b"value")])
        with pytest.raises(PoisonedError):
            database.put(b"later", b"value")

    on_loop(play)
    database.close()
    assert is_doubted(LocalFileSystem(), tmp_path / "db" / "wal")
    os.close(reading)
    os.close(writing)


def test_threads_wait_beside_the_loop(tmp_path: Path) -> None:
    """Those that block, the loop's own among them, and the loop are served; new segments come meanwhile."""
    database = opened(tmp_path, Disk())

    async def play() -> None:
        database.sync_for_loop()

        def put(thread: int) -> None:
            for number in range(50):
                database.put(b"%d of %d" % (number, thread), b"value" * 200)

        threads = [asyncio.to_thread(put, number) for number in range(3)]
        waiting = asyncio.gather(*threads)
        for number in range(100):
            last = database.submit_many([(b"loop %d" % number, b"value" * 200)])
            if number % 10 == 0:
                database.put(b"blocking %d" % number, b"value")
            await asyncio.sleep(0)
        await waiting
        await until(lambda: database.durable_sequence >= last)
        assert database.durable_sequence == 1 + 150 + 100 + 10

    on_loop(play)
    database.close()


def test_close_waits_for_the_sync_under_way(tmp_path: Path) -> None:
    """What was submitted is durable, whether the loop lives or not, and no thread is left."""
    before = set(threading.enumerate())
    database = opened(tmp_path, Disk())

    async def play() -> None:
        database.sync_for_loop()
        database.submit_many([(b"last", b"value")])
        await asyncio.to_thread(database.close)

    on_loop(play)
    assert {thread for thread in set(threading.enumerate()) - before if "replicad" in thread.name} == set()
    with open_database(tmp_path / "db", small_options(durability="sync")) as again:
        assert again.get(b"last") == b"value"

        async def forget() -> None:
            again.sync_for_loop()
            again.submit_many([(b"after", b"value")])

        on_loop(forget)
    with open_database(tmp_path / "db", small_options(durability="sync")) as again:
        assert again.get(b"after") == b"value"
