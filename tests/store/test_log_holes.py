"""Log that lacks a part of its middle: a crash while old segments go leaves none, and readers stop there."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import replicad
from replicad import Options, kernels
from replicad.store.database import Database, open_database
from replicad.store.holds.log_holds import HeldSegment, LogHolds
from replicad.store.wal.segment import HEADER_BYTES
from tests.crash.states import Medium, Thoroughness
from tests.support.files.journal import Remove
from tests.support.files.memory_filesystem import MemoryFileSystem
from tests.support.inline_runner import InlineRunner, inline_env
from tests.support.stores.small import fill, small_options
from tests.support.waiting import eventually

DATA = Path("/data")
SOME = Thoroughness(contents=2, orders=30, mixtures=0)


def opened(
    fs: MemoryFileSystem, log_retention_bytes: int, retention: LogHolds | None = None
) -> tuple[Database, InlineRunner]:
    runner = InlineRunner()
    options = Options(
        memtable_bytes=64 * 1024,
        segment_bytes=4096,
        log_retention_bytes=log_retention_bytes,
        log_disk_floor_bytes=0,
    )
    env = inline_env(fs, runner)
    database = open_database(DATA, options, env=env, role="owner", retention=retention)
    return database, runner


def log_reaches(fs: MemoryFileSystem) -> int:
    """The last sequence number that is read by whoever begins where the log does."""
    database, _ = opened(fs, 1 << 30)
    cursor = database.read_log(database.oldest_log_sequence)
    reached = database.oldest_log_sequence - 1
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


class Held:
    """Somebody who needs all log, until it is let go."""

    needed: int | None = 1

    def oldest_needed(self) -> int | None:
        return self.needed

    def enforce(self, files: list[HeldSegment], newest: int, flushed: int, short_bytes: int, /) -> None:
        pass


def test_a_crash_while_log_goes_that_was_archived_just_before_leaves_no_hole_in_it() -> None:
    """The name that a segment had before may come back, until the removal of that one is durable too."""
    fs = MemoryFileSystem()
    fs.make_directories(DATA)
    fs = MemoryFileSystem(fs.image())
    medium, holds = Medium(fs), Held()
    database, runner = opened(fs, 0, holds)
    for number in range(12):
        database.put(b"key-%d" % number, bytes(1500))
    database.flush()
    runner.run_all()
    assert len(fs.list(DATA / "archive")) > 2
    holds.needed = None
    database.review_retention()
    runner.run_all()
    assert fs.list(DATA / "archive") == []
    draw = random.Random(1)
    for operation in list(fs.journal):
        medium.apply(operation)
        if isinstance(operation, Remove) and operation.name.endswith(".log"):
            for state in medium.states(SOME, draw):
                log_reaches(MemoryFileSystem(state.image))


def archived(path: Path) -> list[Path]:
    """The segments of a database whose tables hold all that they do."""
    with replicad.open(path, small_options(segment_bytes=4096, memtable_bytes=8 << 20)) as database:
        fill(database, 200)
        database.flush()
        eventually(lambda: sum(file.archived for file in database.get_sorted_wal_files()) > 3)
    return sorted((path / "archive").glob("*.log"))


def read_until(path: Path, error: type[replicad.StoreError]) -> int:
    """The last sequence number that a reader of the whole log gets before the error."""
    last = 0
    with replicad.open(path, small_options()) as database:
        assert sum(1 for _ in database.scan()) == 200
        updates = database.get_updates_since(1)
        with pytest.raises(error):
            for update in updates:
                assert update.first_sequence == last + 1
                last = update.position.sequence
    return last


def test_a_reader_stops_at_a_missing_segment(tmp_path: Path) -> None:
    """It costs the readers of that log and nobody else; what lies behind is never given as what follows."""
    gone = archived(tmp_path / "db")[1]
    gone.unlink()
    assert read_until(tmp_path / "db", replicad.LogGoneError) == int(gone.name[11:31]) - 1


def test_a_reader_stops_at_missing_frames(tmp_path: Path) -> None:
    """A frame that is cut out of the middle of a segment leaves frames whose checksums are right."""
    segment = archived(tmp_path / "db")[1]
    content = segment.read_bytes()
    frames = kernels.list_frames(content[HEADER_BYTES:])
    (_, first, *_), (_, _, _, _, _, begin, _) = frames[5], frames[6]
    cut = slice(HEADER_BYTES + frames[4][6], HEADER_BYTES + begin - kernels.FRAME_HEADER_BYTES)
    segment.write_bytes(content[: cut.start] + content[cut.stop :])
    assert read_until(tmp_path / "db", replicad.CorruptionError) == first - 1
