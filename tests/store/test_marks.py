"""Marks: one snapshot at one sequence number on every node."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from replicad.env import Env
from replicad.errors import ClosedError, InvalidArgument, NotFoundError, ReadOnlyError
from replicad.store.database import Database, open_database
from replicad.store.marks import HELD_MAX, Mark, MarkId, decode_mark, encode_mark
from tests.support.manual_clock import ManualClock
from tests.support.stores.small import as_after_kill, fill, small_options


def mark(number: int, seconds: int = 600) -> Mark:
    return Mark(MarkId(b"%016d" % number), seconds)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Database, Database]]:
    """A database and one that may follow it."""
    with open_database(tmp_path / "primary", small_options()) as primary:
        fill(primary, 100)
        primary.create_base_copy(tmp_path / "replica")
        with open_database(tmp_path / "replica", small_options(), role="replica") as replica:
            yield primary, replica


def follow(replica: Database, primary: Database) -> None:
    primary.wait_durable(primary.position.sequence)
    cursor = primary.read_log(replica.position.sequence + 1)
    while (chunk := cursor.next(1 << 20)) is not None:
        replica.apply_frames(chunk.frames)
    cursor.close()


def test_a_mark_reads_back_and_one_of_another_version_is_passed_by() -> None:
    """A mark reads back; what another version may have written is passed by."""
    assert decode_mark(encode_mark(mark(7, 60))) == mark(7, 60)
    assert encode_mark(mark(7, 60)).hex() == "01" + (b"%016d" % 7).hex() + "3c000000"
    for other in (b"", b"a note", b"\2" + encode_mark(mark(7))[1:], encode_mark(mark(7))[:-4] + bytes(4)):
        assert decode_mark(other) is None
    for seconds in (0, 1 << 31):
        with pytest.raises(InvalidArgument):
            mark(7, seconds)


def test_both_hold_the_same_state(pair: tuple[Database, Database]) -> None:
    """Whatever is written, flushed and compacted around it, the mark shows the same on both nodes."""
    primary, replica = pair
    fill(primary, 300, value=b"before")
    sequence = primary.submit_mark(mark(1))
    fill(primary, 2000, value=b"after")
    primary.compact()
    follow(replica, primary)
    replica.compact()
    snapshots = primary.marks.snapshot(mark(1).id), replica.marks.snapshot(mark(1).id)
    assert [snapshot.sequence for snapshot in snapshots] == [sequence, sequence]
    assert snapshots[0].digest() == snapshots[1].digest()
    assert len(list(snapshots[1].scan())) == 300
    assert primary.digest() == replica.digest()
    primary.marks.release(mark(1).id)
    assert not primary.marks.has(mark(1).id)
    with pytest.raises(NotFoundError, match="holds no snapshot"):
        primary.marks.snapshot(mark(1).id)
    assert replica.marks.has(mark(1).id)


def test_only_a_primary_writes_marks(pair: tuple[Database, Database]) -> None:
    """A replica holds a snapshot of its own instead."""
    replica = pair[1]
    with pytest.raises(ReadOnlyError):
        replica.submit_mark(mark(1))
    assert replica.hold_snapshot(mark(2)) == replica.latest_sequence
    assert replica.marks.snapshot(mark(2).id).digest() == replica.digest()[1]


def test_only_the_newest_hold_a_snapshot(pair: tuple[Database, Database]) -> None:
    """A log with many marks does not hold back what merges may forget."""
    primary, replica = pair
    newest = HELD_MAX + 4
    for number in range(1, newest + 1):
        primary.submit_mark(mark(number))
    follow(replica, primary)
    for database in pair:
        held = [number for number in range(1, newest + 1) if database.marks.has(mark(number).id)]
        assert held == list(range(newest + 1 - HELD_MAX, newest + 1))
        assert database.stats()["snapshots"] == HELD_MAX


def test_a_lease_ends(tmp_path: Path) -> None:
    """A snapshot that nobody releases is closed when the mark's time is over."""
    clock = ManualClock()
    env = replace(Env(), clock=clock)
    with open_database(tmp_path / "db", small_options(), env=env) as database:
        database.submit_mark(mark(1, 60))
        snapshot = database.marks.snapshot(mark(1).id)
        (lease,) = database.stats()["leases"]
        assert lease["holder"] == f"verification {mark(1).id.hex()}"
        clock.now += 61
        with pytest.raises(ClosedError, match="lease of 60 s is over"):
            database.marks.snapshot(mark(1).id)
        with pytest.raises(InvalidArgument, match="lease of 60 s is over"):
            snapshot.digest()
        assert database.stats()["snapshots"] == 0


def test_recovery_holds_what_the_log_still_has(pair: tuple[Database, Database], tmp_path: Path) -> None:
    """After a kill a node holds the marks of its unflushed log again, at the same sequence number."""
    primary, replica = pair
    primary.submit_mark(mark(1))
    fill(primary, 50, value=b"before")
    sequence = primary.submit_mark(mark(2))
    fill(primary, 50, value=b"after")
    follow(replica, primary)
    for database, role in ((primary, "owner"), (replica, "replica")):
        expected = database.marks.snapshot(mark(2).id).digest()
        copy = as_after_kill(database.path, tmp_path / f"killed-{role}")
        with open_database(copy, small_options(), role=role) as recovered:  # type: ignore[arg-type]
            recovered.flush()
            held = recovered.marks.snapshot(mark(2).id)
            assert (held.sequence, held.digest()) == (sequence, expected)
