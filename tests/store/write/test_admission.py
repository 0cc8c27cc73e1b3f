"""Frames that are whole and mean nonsense are refused before they are appended, and the node stays as it
was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import replicad
from replicad import kernels
from replicad.errors import CorruptionError
from replicad.store.database import Database, open_database
from replicad.store.write.admission import COMMIT_TIME_MAX_US, EPOCH_JUMP_MAX
from replicad.store.write.control import encode_epoch
from replicad.types import Epoch, EpochRecord, HistoryHash, Position, Sequence

Frames = Callable[[kernels.FrameWriter, Position], None]


def batch(*make: Callable[[kernels.Batch], None], time_us: int = 1, durable: int = 0) -> Frames:
    """One frame of these operations."""

    def write(frames: kernels.FrameWriter, at: Position) -> None:
        body = kernels.Batch()
        for each in make:
            each(body)
        frames.add_batch(body, time_us, durable)

    return write


def create(id: int, name: bytes) -> Callable[[kernels.Batch], None]:
    return lambda body: body.add_create_family(id, name)


def record(epoch: int, fork: Position) -> Callable[[kernels.Batch], None]:
    return lambda body: body.add_epoch(encode_epoch(EpochRecord(Epoch(epoch), bytes(16), fork)))


def begin(epoch: int, *, elsewhere: bool = False, with_record: bool = True) -> Frames:
    """The first frame of an epoch."""

    def write(frames: kernels.FrameWriter, at: Position) -> None:
        frames.start_epoch(epoch)
        fork = Position(at.epoch, Sequence(at.sequence + elsewhere), at.history_hash)
        batch(record(epoch, fork) if with_record else lambda body: body.put(b"k", b""))(frames, at)

    return write


def put(body: kernels.Batch) -> None:
    body.put(b"another", b"")


SOMEWHERE = Position(Epoch(1), Sequence(1), HistoryHash(0))
NONSENSE: dict[str, Frames] = {
    "an id that is not the next": batch(create(5, b"x")),
    "the id of the default family": batch(create(0, b"x")),
    "an empty name": batch(create(1, b"")),
    "a long name": batch(create(1, b"x" * 256)),
    "a name that is not UTF-8": batch(create(1, b"\xff")),
    "the name of the default family": batch(create(1, b"default")),
    "a name twice": batch(create(1, b"x"), create(2, b"x")),
    "an id twice": batch(create(1, b"x"), create(1, b"y")),
    "nonsense behind good operations": batch(put, create(1, b"x"), put, create(2, b"")),
    "the default family dropped": batch(lambda body: body.add_drop_family(0)),
    "an epoch without its record": begin(2, with_record=False),
    "an epoch from elsewhere": begin(2, elsewhere=True),
    "an epoch far ahead": begin(2 + EPOCH_JUMP_MAX),
    "the record of an epoch within another": batch(
        record(2, Position(Epoch(1), Sequence(1), HistoryHash(0)))
    ),
    "a commit time that no later one can follow": batch(put, time_us=COMMIT_TIME_MAX_US + 1),
    "a durable number beyond itself": batch(put, durable=2),
}


def follow(replica: Database, make: Frames) -> None:
    at = replica.position
    frames = kernels.FrameWriter(replica.database_id, at.epoch, at.sequence, at.history_hash, 0)
    make(frames, at)
    replica.apply_frames(frames.pending())


@pytest.fixture
def replica(tmp_path: Path) -> Path:
    """A copy of a primary with one key."""
    with replicad.open(tmp_path / "primary") as primary:
        primary.put(b"k", b"v")
        primary.create_checkpoint(tmp_path / "replica")
    return tmp_path / "replica"


@pytest.mark.parametrize("nonsense", NONSENSE)
def test_nonsense_is_refused_and_changes_nothing(replica: Path, nonsense: str) -> None:
    """CorruptionError; position and families are what they were, and the node flushes, follows and opens."""
    with open_database(replica, role="replica") as database:
        before = (database.position, database.families)
        with pytest.raises(CorruptionError):
            follow(database, NONSENSE[nonsense])
        assert (database.position, database.families, database.failed) == (*before, None)
        follow(database, batch(put))
        database.flush()
    with open_database(replica, role="replica") as database:
        assert [key for key, _ in database.scan()] == [b"another", b"k"]


def test_what_a_primary_writes_is_applied(replica: Path) -> None:
    """Families, epochs and several of them in one piece."""
    with open_database(replica, role="replica") as database:
        follow(database, batch(create(1, b"x"), put, create(2, "ü".encode())))
        follow(database, begin(2))
        follow(database, begin(2 + EPOCH_JUMP_MAX))
        follow(database, batch(lambda body: body.add_drop_family(1), create(3, b"x")))
        database.flush()
        assert database.families == {"default": 0, "ü": 2, "x": 3}
        assert [record.epoch for record in database.epochs] == [1, 2, 2 + EPOCH_JUMP_MAX]
