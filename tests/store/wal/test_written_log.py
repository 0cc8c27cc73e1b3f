"""A cursor that reads what is written: everything that was appended, durable or not, and nothing twice."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from replicad import Options
from replicad.store.database import Database, open_database
from replicad.store.wal.cursor import LogCursor
from tests.support.files.memory_filesystem import MemoryFileSystem
from tests.support.inline_runner import InlineRunner, inline_env

DATA = Path("/data")


def opened(durability: str = "async") -> tuple[Database, InlineRunner]:
    """A database whose log is synced only when the runner is told to."""
    fs, runner = MemoryFileSystem(), InlineRunner()
    fs.make_directories(DATA)
    options = Options(durability=durability, segment_bytes=4096, log_retention_bytes=1 << 30)  # type: ignore[arg-type]
    return open_database(DATA, options, env=inline_env(fs, runner), role="owner"), runner


def numbers(cursor: LogCursor) -> list[int]:
    """All sequence numbers that the cursor gives until there is nothing."""
    found: list[int] = []
    while (chunk := cursor.next(4096)) is not None:
        found += range(chunk.first_sequence, chunk.last_sequence + 1)
    return found


def test_what_is_written_is_read_before_it_is_durable() -> None:
    database, runner = opened()
    written, durable = database.read_log(1, written=True), database.read_log(1)
    for number in range(3):
        database.put(b"key", b"%d" % number)
    assert database.durable_sequence == 0
    assert (numbers(written), numbers(durable)) == ([1, 2, 3], [])
    runner.run_all()
    assert (numbers(written), numbers(durable)) == ([], [1, 2, 3])


def test_it_goes_on_through_segments_that_are_not_durable() -> None:
    database, runner = opened()
    cursor = database.read_log(1, written=True)
    found: list[int] = []
    for _ in range(30):
        database.put(b"key", bytes(900))
        found += numbers(cursor)
    assert len(database.get_sorted_wal_files()) > 3
    assert database.durable_sequence == 0
    assert found == list(range(1, 31))
    runner.run_all()
    database.put(b"key", b"")
    assert numbers(cursor) == [31]


@pytest.mark.parametrize("seed", range(20))
def test_wherever_it_begins_and_whenever_the_log_is_synced_it_gives_all_that_follows(seed: int) -> None:
    draw = random.Random(seed)
    database, runner = opened()
    last = 0
    cursors: list[tuple[LogCursor, list[int], int]] = []
    for _ in range(60):
        if draw.random() < 0.8:
            last = database.put(b"key", bytes(draw.choice((10, 500, 3000))))
        if draw.random() < 0.1:
            runner.run_all()
        if draw.random() < 0.2:
            start = draw.randint(1, last + 1)
            cursors.append((database.read_log(start, written=True), [], start))
        for cursor, found, _ in cursors:
            if draw.random() < 0.5:
                found += numbers(cursor)
    for cursor, found, start in cursors:
        found += numbers(cursor)
        assert found == list(range(start, last + 1)), (seed, start)


def test_the_position_of_a_write_that_is_not_durable_is_told() -> None:
    database, _ = opened()
    database.put(b"key", b"1")
    first = database.position
    database.put(b"key", b"2")
    assert database.durable_sequence == 0
    assert (database.position_at(1), database.position_at(2)) == (first, database.position)
    assert database.position_at(3) is None
