"""The log after a crash while old segments were removed."""

from __future__ import annotations

import random
from pathlib import Path

from replicad import Options
from replicad.store.database import Database, open_database
from tests.crash.states import Medium, Thoroughness
from tests.support.inline_runner import InlineRunner, inline_env
from tests.support.journal import Remove
from tests.support.memory_filesystem import MemoryFileSystem

DATA = Path("/data")
SOME = Thoroughness(contents=2, orders=30, mixtures=0)


def opened(fs: MemoryFileSystem, log_retention_bytes: int) -> tuple[Database, InlineRunner]:
    runner = InlineRunner()
    options = Options(
        memtable_bytes=64 * 1024,
        segment_bytes=4096,
        log_retention_bytes=log_retention_bytes,
        log_disk_floor_bytes=0,
    )
    database = open_database(DATA, options, env=inline_env(fs, runner), role="owner")
    return runner.adopt(database), runner


def log_reaches(fs: MemoryFileSystem) -> int:
    """The last sequence number that is read by whoever begins where the log does."""
    database, _ = opened(fs, 1 << 30)
    cursor = database.read_log(database.oldest_log_sequence)
    reached = 0
    while (chunk := cursor.next()) is not None:
        reached = chunk.last_sequence
    assert reached == database.durable_sequence
    return reached


def test_a_crash_while_old_log_goes_leaves_no_hole_in_it() -> None:
    """Whichever removals a loss of power takes back, the log that is left can be read from its beginning."""
    fs = MemoryFileSystem()
    fs.make_directories(DATA)
    database, runner = opened(fs, 1 << 30)
    for number in range(12):
        database.put(b"key-%d" % number, bytes(1500))
    database.flush()
    runner.run_all()
    database.close()
    fs = MemoryFileSystem(fs.image())
    medium = Medium(fs)
    database, runner = opened(fs, 0)
    database.put(b"last", b"")
    database.flush()
    runner.run_all()
    draw = random.Random(1)
    states = 0
    for operation in list(fs.journal):
        medium.apply(operation)
        if not isinstance(operation, Remove):
            continue
        for state in medium.states(SOME, draw):
            states += 1
            assert log_reaches(MemoryFileSystem(state.image)) in (12, 13)
    assert states > 10
    assert fs.list(DATA / "archive") == []
