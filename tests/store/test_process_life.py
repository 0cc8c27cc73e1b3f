"""What a process does around an open database: it forks, it is signalled, it drops it, it ends."""

from __future__ import annotations

import copy
import os
import pickle
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

import replicad
from replicad.env import LocalFileSystem
from replicad.errors import ClosedError
from replicad.store.database import Database
from replicad.store.manifest.file import load
from tests.support.stores.small import fill, small_options

USES: dict[str, Callable[[Database], object]] = {
    "get": lambda database: database.get(b"k"),
    "multi_get": lambda database: database.multi_get([b"k"]),
    "scan": lambda database: list(database.scan()),
    "put": lambda database: database.put(b"child", b""),
    "submit_put": lambda database: database.submit_put(b"child", b""),
    "submit_many": lambda database: database.submit_many([(b"child", b"")]),
    "delete": lambda database: database.delete(b"k"),
    "snapshot": lambda database: database.snapshot(),
    "cut": lambda database: database.cut(),
    "flush": lambda database: database.flush(),
    "compact": lambda database: database.compact(),
    "checkpoint": lambda database: database.create_checkpoint(database.path.parent / "child"),
    "create_family": lambda database: database.create_family("child"),
    "updates": lambda database: database.get_updates_since(1),
    "live_files": lambda database: database.get_live_files(),
    "disable": lambda database: database.disable_file_deletions(),
    "demote": lambda database: database.demote(),
    "close": lambda database: database.close(),
}


def in_child(job: Callable[[], None]) -> int:
    """The exit status of a forked child that does the job: 0, or 1 when it raises."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        signal.alarm(20)
        job()
        os._exit(0)
    except BaseException as error:
        os.write(2, f"{error!r}\n".encode())
        os._exit(1)


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_a_forked_child_is_refused_and_its_parent_notices_nothing(
    tmp_path: Path, durability: Literal["sync", "async"]
) -> None:
    """Every use raises ClosedError at once, also when another thread held the locks; files stay as they
    were."""
    options = small_options(durability=durability, memtable_bytes=64 << 20, segment_bytes=64 << 20)
    with replicad.open(tmp_path / "db", options) as database:
        fill(database, 500)
        snapshot, cut = database.snapshot(), database.cut()
        before = {path: path.stat().st_size for path in (tmp_path / "db").rglob("*") if path.is_file()}

        def child() -> None:
            for name, use in USES.items():
                with pytest.raises(ClosedError, match="forked"):
                    use(database)
                    raise AssertionError(name)
            for held in (lambda: snapshot.get(b"k"), lambda: cut.tables):
                with pytest.raises(ClosedError, match="forked"):
                    held()
            with database:
                pass

        with database._writer().core.write_lock, database._core.version_lock:
            assert in_child(child) == 0
        assert {path: path.stat().st_size for path in before} == before
        snapshot.close()
        cut.close()
        fill(database, 500, start=500)
        database.flush()
        database.compact()
    with replicad.open(tmp_path / "db", small_options()) as again:
        assert sum(1 for _ in again.scan()) == 1000


def test_a_child_does_not_keep_the_directory_locked(tmp_path: Path) -> None:
    """The parent closes, and opens again, while its child lives on."""
    database = replicad.open(tmp_path / "db")
    read, write = os.pipe()
    runs, said = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(write)  # So that the end of the parent is the end of the pipe.
        os.write(said, b"x")
        os.read(read, 1)
        os._exit(0)
    os.read(runs, 1)
    database.close()
    replicad.open(tmp_path / "db").close()
    os.write(write, b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    for end in (read, write, runs, said):
        os.close(end)


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_a_signal_handler_may_close_the_database(
    tmp_path: Path, durability: Literal["sync", "async"]
) -> None:
    """In the middle of a put: the handler returns, and the put has happened or says that it was closed."""
    database = replicad.open(tmp_path / "db", small_options(durability=durability))
    before = signal.signal(signal.SIGALRM, lambda *_: database.close())
    written = 0
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(ClosedError):
            while True:
                database.put(b"%06d" % written, b"")
                written += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    with replicad.open(tmp_path / "db") as again:
        assert sum(1 for _ in again.scan()) in (written, written + 1)


def test_a_dropped_database_is_closed_with_a_warning(tmp_path: Path) -> None:
    """The directory is free at once, the threads are gone, and ResourceWarning names it."""
    threads = threading.active_count()
    database = replicad.open(tmp_path / "db")
    database.put(b"k", b"v")
    with pytest.warns(ResourceWarning, match="dropped without close"):
        del database
    assert threading.active_count() == threads
    with replicad.open(tmp_path / "db") as again:
        assert again.get(b"k") == b"v"


def test_what_is_taken_of_a_database_keeps_it(tmp_path: Path) -> None:
    """A snapshot, a cut or updates of a database that only they still know work."""
    with replicad.open(tmp_path / "db") as database:
        database.put(b"k", b"v")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        assert replicad.open(tmp_path / "db").snapshot().get(b"k") == b"v"
        assert replicad.open(tmp_path / "db").cut().snapshot.get(b"k") == b"v"
        updates = replicad.open(tmp_path / "db").get_updates_since(1)
        assert [update.position.sequence for update in updates] == [1]
        del updates


ENDING = """
import os, random, sys, threading
import replicad

options = replicad.Options(memtable_bytes=1 << 18, durability="async", block_cache_bytes=0)
database = replicad.open(sys.argv[1], options)
for number in range(3000):
    database.put(b"%08d" % number, random.randbytes(200))
database.flush()
begun = threading.Barrier(4)

def read():
    begun.wait()
    while True:
        database.get(b"%08d" % random.randrange(3000))
        list(database.scan(limit=100))

def write():
    begun.wait()
    while True:
        database.put(b"more", random.randbytes(2000))

for job in (read, read, write):
    threading.Thread(target=job, daemon=True).start()
begun.wait()
"""


def test_a_program_may_end_without_closing(tmp_path: Path) -> None:
    """While threads read and write and the store works in the background: exit code 0, all is there."""
    for _ in range(3):
        command = [sys.executable, "-c", ENDING, str(tmp_path / "db")]
        ran = subprocess.run(command, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr[-2000:]
        with replicad.open(tmp_path / "db") as again:
            assert again.notes == []
            assert sum(1 for _ in again.scan(end=b"more")) == 3000


def test_a_program_that_ends_closes_its_databases(tmp_path: Path) -> None:
    """As a close does, the manifest says how far the log was synced."""
    program = "import sys, replicad; database = replicad.open(sys.argv[1]); database.put(b'k', b'v')"
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "db")], check=True)
    assert load(LocalFileSystem(), tmp_path / "db").synced.sequence == 1


# The sleeps are not waits: they make the two destructors so slow that the interpreter ends during both.
DROPPING = """
import threading, time
import replicad
from replicad import kernels

class File:
    def __call__(self): ...
    def __del__(self):
        dropping.set()
        time.sleep(0.3)

class Last:
    def __del__(self):
        time.sleep(1.0)

dropping = threading.Event()
tables = [kernels.Table(1, b"a", b"b", kernels.BlockCache(0), File(), File())]
threading.Thread(target=tables.clear, daemon=True).start()
dropping.wait()
# Left to the collection that ends the interpreter, so that the thread comes back before the process is gone.
last = Last()
last.itself = last
del last
"""


def test_a_program_may_end_while_a_thread_closes_a_table(tmp_path: Path) -> None:
    """The file's finalizer runs within a destructor of a kernel: CPython must not end the thread there."""
    ran = subprocess.run([sys.executable, "-c", DROPPING], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]


def test_a_database_is_not_copied(tmp_path: Path) -> None:
    """A copy that is dropped would close the database of everybody else."""
    with replicad.open(tmp_path / "db") as database:
        for refused in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="neither copied nor pickled"):
                refused(database)
        database.put(b"k", b"v")


FORKING = """
import os, threading
from replicad import kernels

class File:
    def __call__(self): ...
    def __del__(self):
        dropping.set()
        parent_may_end.wait()

dropping, parent_may_end = threading.Event(), threading.Event()
tables = [kernels.Table(1, b"a", b"b", kernels.BlockCache(0), File(), File())]
threading.Thread(target=tables.clear).start()
dropping.wait()
child = os.fork()
if not child:
    os._exit(0 if kernels.finish(0.0) else 1)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
parent_may_end.set()
raise SystemExit(status)
"""


def test_a_forked_child_does_not_wait_for_threads_that_it_does_not_have() -> None:
    """What other threads of its parent were doing in a kernel does not keep its end waiting."""
    ran = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
