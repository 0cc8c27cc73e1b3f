"""Log that waits to be applied: appended, made durable, read, trimmed, cut back; and what a crash leaves."""

from __future__ import annotations

import errno
import random
from pathlib import Path
from typing import NamedTuple

import pytest

import replicad
from replicad import kernels
from replicad.env import Env, LocalFileSystem
from replicad.errors import CorruptionError, DiskFullError, PoisonedError
from replicad.store.database import Database, open_database
from replicad.store.received.opening import open_received
from replicad.store.received.received_log import ReceivedCursor, ReceivedLog
from replicad.types import ORIGIN, DatabaseId, Epoch, HistoryHash, Position, Sequence
from tests.crash.states import Medium, Thoroughness
from tests.support.files.journal import Note, Rename
from tests.support.files.memory_filesystem import MemoryFileSystem
from tests.support.stores.small import small_options

SEGMENT_BYTES = 600
"""A few batches."""


class Batch(NamedTuple):
    frames: bytes
    position: Position


def history(path: Path) -> tuple[DatabaseId, list[Batch]]:
    """Twenty batches in two epochs, of one or more entries."""
    with replicad.open(path / "primary", small_options(durability="sync")) as primary:
        _write(primary, 12)
        primary.demote()
    with open_database(path / "primary", small_options(durability="sync"), role="replica") as other:
        other.promote(b"p" * 16)
        _write(other, 7)
        return other.database_id, batches_of(other)


def _write(database: Database, count: int) -> None:
    for number in range(count):
        batch = kernels.Batch()
        for entry in range(1 + number % 3):
            batch.put(b"%d-%d" % (number, entry), bytes(40))
        database.write(batch)


def batches_of(database: Database) -> list[Batch]:
    """Every batch of the log."""
    cursor, found = database.read_log(1), []
    try:
        while (chunk := cursor.next()) is not None:
            at = 0
            for epoch, first, count, _, history_hash, _, _ in kernels.list_frames(chunk.frames):
                size = kernels.FrameHeader.decode(chunk.frames, at).size
                end = Position(Epoch(epoch), Sequence(first + count - 1), HistoryHash(history_hash))
                found.append(Batch(chunk.frames[at : at + size], end))
                at += size
    finally:
        cursor.close()
    return found


class World:
    def __init__(self, path: Path, fs: LocalFileSystem | MemoryFileSystem | None = None) -> None:
        self.fs = fs or LocalFileSystem()
        self.directory = path / "received"
        self.database_id, self.batches = history(path)
        self.notes: list[str] = []
        self.log = self.open()

    def open(self) -> ReceivedLog:
        self.log, self.notes = open_received(
            self.fs, self.directory, self.database_id, segment_bytes=SEGMENT_BYTES
        )
        return self.log

    def append(self, first: int, last: int) -> None:
        """Batches by their index, `last` excluded."""
        for at in range(first, last):
            self.log.append(self.batches[at].frames, self.batches[at].position, self.before(at))

    def before(self, at: int) -> Position:
        return self.batches[at - 1].position if at else ORIGIN

    def read(self, after: int = 0) -> bytes:
        return b"".join(chunk.frames for chunk in self.log.read(self.before(after)))

    def expected(self, first: int, last: int) -> bytes:
        return b"".join(batch.frames for batch in self.batches[first:last])


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_what_was_appended_is_read_in_order_from_any_batch_on(world: World) -> None:
    """Over several files, and over the beginning of an epoch."""
    world.append(0, 20)
    assert world.log.begin == ORIGIN
    assert world.log.end == world.batches[19].position
    assert len(LocalFileSystem().list(world.directory)) > 2
    for at in range(20):
        assert world.read(at) == world.expected(at, 20)


def test_a_cursor_goes_on_when_more_is_appended(world: World) -> None:
    """It reads each batch once."""
    cursor = ReceivedCursor(world.log, ORIGIN)
    found = b""
    for at in range(20):
        world.append(at, at + 1)
        chunk = cursor.next()
        assert chunk is not None and cursor.next() is None
        found += chunk.frames
    assert found == world.expected(0, 20)
    cursor.close()


def test_only_what_was_synced_counts_as_durable(world: World) -> None:
    """An acknowledgement may promise no more."""
    world.append(0, 5)
    assert world.log.durable == ORIGIN
    world.log.sync()
    assert world.log.durable == world.batches[4].position
    world.append(5, 6)
    assert world.log.durable == world.batches[4].position


def test_an_opening_goes_on_where_a_kill_left_it(world: World) -> None:
    """All of it is durable then, and the epochs in it are known."""
    world.append(0, 16)
    epochs = world.log.epochs
    assert [record.epoch for record in epochs] == [2]
    world.open()
    assert world.notes == []
    assert world.log.durable == world.log.end == world.batches[15].position
    assert world.log.epochs == epochs
    world.append(16, 20)
    assert world.read() == world.expected(0, 20)


def test_a_torn_tail_is_cut_off(world: World) -> None:
    """It comes again from the primary."""
    world.append(0, 3)
    world.log.close()
    (name,) = LocalFileSystem().list(world.directory)
    path = world.directory / name
    path.write_bytes(path.read_bytes()[:-5])
    world.open()
    assert world.notes and world.log.end == world.batches[1].position
    assert not (world.directory.parent / "quarantine").exists()
    world.append(2, 6)
    assert world.read() == world.expected(0, 6)


def test_what_lies_behind_damage_is_kept_aside(world: World) -> None:
    """A chain never has a gap: what follows the damage is not read."""
    world.append(0, 20)
    world.log.close()
    second = world.directory / LocalFileSystem().list(world.directory)[1]
    data = bytearray(second.read_bytes())
    data[70] ^= 1
    second.write_bytes(bytes(data))
    files = LocalFileSystem().list(world.directory)
    world.open()
    end = world.log.end
    assert end is not None
    at = next(at for at in range(20) if world.before(at) == end)
    assert 0 < at < 12 and world.read() == world.expected(0, at)
    aside = world.directory.parent / "quarantine"
    assert LocalFileSystem().list(aside) == [f"received-{name}.torn" for name in files[1:]]
    assert (aside / f"received-{second.name}.torn").read_bytes() == data and str(aside) in world.notes[0]
    world.append(at, 12)
    assert world.read() == world.expected(0, 12)


def test_damage_that_comes_later_is_an_error_and_never_applied(world: World) -> None:
    """Frames are checked when they are read."""
    world.append(0, 3)
    world.log.sync()
    (name,) = LocalFileSystem().list(world.directory)
    path = world.directory / name
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(CorruptionError, match="received log"):
        world.read()


def test_whole_files_go_when_the_store_has_them(world: World) -> None:
    """What the store may still lose stays."""
    world.append(0, 20)
    world.log.sync()
    size = world.log.size_bytes
    world.log.trim(world.before(10).sequence)
    begin = world.log.begin
    assert begin is not None and 0 < begin.sequence <= world.before(10).sequence
    assert world.log.size_bytes < size
    at = next(at for at, batch in enumerate(world.batches) if batch.position == begin) + 1
    assert world.read(at) == world.expected(at, 20)


@pytest.mark.parametrize("at", [0, 1, 7, 11, 12, 15, 20])
def test_a_cut_leaves_what_both_histories_have(world: World, at: int) -> None:
    """Another history goes on from the fork."""
    world.append(0, 20)
    world.log.cut_back(world.before(at))
    assert world.log.end == (world.before(at) if at else None)
    assert world.read() == world.expected(0, at)
    world.append(at, 20)
    assert world.read() == world.expected(0, 20)
    world.open()
    assert world.notes == [] and world.read() == world.expected(0, 20)


def test_it_knows_which_positions_it_went_through(world: World) -> None:
    """A number within a batch, or beyond the end, is none."""
    world.append(0, 16)
    for at in range(16):
        assert world.log.position_at(world.before(at).sequence) == world.before(at)
    assert world.log.position_at(1000) is None


def test_what_is_discarded_is_saved_as_segments(world: World, tmp_path: Path) -> None:
    """`replicad inspect` reads them."""
    world.append(0, 20)
    saved = world.log.save(world.before(5), tmp_path / "discarded")
    assert saved.batches == 15 and saved.last == world.batches[19].position
    assert b"".join(path.read_bytes()[64:] for path in saved.files) == world.expected(5, 20)


def test_a_full_disk_changes_nothing(tmp_path: Path) -> None:
    """What did not fit comes again when there is room."""
    fs = MemoryFileSystem()
    world = World(tmp_path, fs)
    world.append(0, 2)

    def fail(call: str, path: Path, size: int) -> None:
        if call == "append":
            raise OSError(errno.ENOSPC, "full")

    fs.before = fail
    with pytest.raises(DiskFullError):
        world.append(2, 3)
    fs.before = lambda call, path, size: None
    assert world.log.end == world.batches[1].position
    world.append(2, 20)
    assert world.read() == world.expected(0, 20)


def test_after_a_failed_sync_the_files_are_written_again(tmp_path: Path) -> None:
    """A second sync of the same pages could report a false success."""
    fs = MemoryFileSystem()
    world = World(tmp_path, fs)
    world.append(0, 2)

    def fail(call: str, path: Path, size: int) -> None:
        if call == "sync":
            raise OSError(errno.EIO, "broken")

    fs.before = fail
    with pytest.raises(PoisonedError):
        world.log.sync()
    fs.before = lambda call, path, size: None
    assert world.log.durable == ORIGIN
    before = len(fs.journal)
    world.open()
    assert world.log.durable == world.batches[1].position
    assert any(isinstance(operation, Rename) for operation in fs.journal[before:])


def test_a_crash_leaves_a_prefix_with_everything_that_was_durable(tmp_path: Path) -> None:
    """Whatever of the unsynced content and names a crash keeps."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    fs = MemoryFileSystem()
    world = World(tmp_path, fs)
    fs.make_directories(world.directory)
    begin = len(fs.journal)

    def durable(first: int, last: int) -> None:
        fs.note("durable", (first, last))

    for at in range(0, 20, 2):
        world.append(at, at + 2)
        if at % 4 == 2:
            world.log.sync()
            durable(0, at + 2)
    fs.note("durable", (10, 20))
    world.log.trim(world.before(10).sequence)
    fs.note("durable", (10, 12))
    world.log.cut_back(world.before(12))
    world.append(12, 14)
    world.log.sync()
    durable(10, 14)
    fs.note("durable", (20, 0))
    world.log.clear()

    medium = Medium(MemoryFileSystem())
    first, last, opened = 0, 0, 0
    for number, operation in enumerate(fs.journal):
        if isinstance(operation, Note):
            first, last = operation.value
            continue
        medium.apply(operation)
        if number < begin:
            continue
        for state in medium.states(Thoroughness(3, 3, 4), draw):
            log, _ = open_received(
                MemoryFileSystem(state.image), world.directory, world.database_id, segment_bytes=SEGMENT_BYTES
            )
            opened += 1
            if log.begin is None or log.end is None:
                assert last <= first, state.choice
                continue
            found = b"".join(chunk.frames for chunk in log.read(log.begin))
            whole = world.expected(0, 20)
            start = next(at for at in range(21) if world.before(at) == log.begin)
            assert whole[len(world.expected(0, start)) :].startswith(found), state.choice
            ends = next(at for at in range(21) if world.before(at) == log.end)
            assert ends >= last or last <= first, (state.choice, ends, last)
            assert start <= first or last <= first, (state.choice, start, first)
    assert opened > 100


def test_frames_of_another_database_are_not_taken_over(world: World) -> None:
    """A directory that was copied from elsewhere is not this node's log."""
    world.append(0, 2)
    other = DatabaseId(bytes(16))
    log, notes = open_received(Env().fs, world.directory, other, segment_bytes=SEGMENT_BYTES)
    assert log.begin is None and "another database" in notes[0]
