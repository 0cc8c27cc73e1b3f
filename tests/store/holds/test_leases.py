"""Leases: what a cut holds, who is told, and how it ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import replicad
from replicad.env import Env
from replicad.store.database import open_database
from tests.support.manual_clock import ManualClock
from tests.support.stores.small import fill, small_options
from tests.support.waiting import eventually


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def db(tmp_path: Path, clock: ManualClock) -> Iterator[replicad.Database]:
    options = small_options(log_retention_bytes=0)
    with open_database(tmp_path / "db", options, env=Env(clock=clock)) as database:
        yield database


def test_an_expired_lease_closes_its_cut(db: replicad.Database, clock: ManualClock) -> None:
    """When the time is over, the cut and a snapshot taken from it say so, and position stays readable."""
    fill(db, 10)
    cut = db.cut(holder="export", seconds=60)
    snapshot = cut.snapshot
    clock.now += 59.5
    assert snapshot.get(b"key-000001") == b"v" * 100 + b"-1"
    clock.now += 0.5
    with pytest.raises(replicad.ClosedError, match=r"60 s is over \(holder 'export'\)"):
        _ = cut.tables
    with pytest.raises(replicad.InvalidArgument, match="60 s is over"):
        snapshot.get(b"key-000001")
    assert cut.position == db.position
    assert db.stats()["leases"] == [] and db.stats()["snapshots"] == 0
    cut.close()


def test_using_a_closed_cut(db: replicad.Database) -> None:
    """Every use of a cut that was closed is an error that says that it was; closing twice is fine."""
    with db.cut() as cut:
        snapshot = cut.snapshot
    cut.close()
    for use in (lambda: cut.tables, lambda: cut.log, lambda: cut.snapshot, lambda: cut.state):
        with pytest.raises(replicad.ClosedError, match="the cut is closed"):
            use()
    with pytest.raises(replicad.InvalidArgument, match="the cut is closed"):
        list(snapshot.scan())


def test_stats_list_leases(db: replicad.Database, clock: ManualClock) -> None:
    """Holder, age, what is left and what is held are told of each lease, oldest first."""
    fill(db, 300)
    with db.cut(flush=True, holder="one", seconds=100, bytes_max=1 << 30), db.cut(holder="two"):
        clock.now += 30
        one, two = db.stats()["leases"]
        assert one == {
            "holder": "one",
            "age_seconds": 30.0,
            "ends_in_seconds": 70.0,
            "held_bytes": 0,
            "bytes_max": 1 << 30,
        }
        assert two["holder"] == "two" and two["ends_in_seconds"] is None and two["bytes_max"] is None
        fill(db, 300, value=b"other")
        db.compact()
        assert db.stats()["leases"][0]["held_bytes"] > 0
    assert db.stats()["leases"] == []


def test_files_of_an_expired_lease_go(db: replicad.Database, clock: ManualClock) -> None:
    """Nobody has to ask: the next compaction ends a lease that is over, and the held files go."""
    fill(db, 300)
    cut = db.cut(flush=True, seconds=5)
    held = [db.path / meta.name for meta in cut.tables]
    fill(db, 300, value=b"other")
    db.compact()
    assert all(path.exists() for path in held)
    clock.now += 6
    fill(db, 300, value=b"third")
    db.compact()
    assert not any(path.exists() for path in held)


def test_a_lease_over_its_space_budget_ends(db: replicad.Database) -> None:
    """A lease that holds back more than its budget ends, and says how much it was."""
    fill(db, 500)
    cut = db.cut(flush=True, bytes_max=2000)
    assert cut.tables
    fill(db, 500, value=b"w" * 100)
    db.compact()
    with pytest.raises(replicad.ClosedError, match="more than the 2000 of its lease"):
        _ = cut.snapshot


def test_held_log_stays(db: replicad.Database) -> None:
    """A cut keeps the log after its tables where it was, though nothing else wants it."""
    fill(db, 100)
    with db.cut() as cut:
        paths = [part.path for part in cut.log]
        for _ in range(2):  # The second flush begins after the first one has tidied the log.
            fill(db, 1500)
            db.flush()
        assert paths and all(path.exists() for path in paths)


@pytest.mark.parametrize("terms", [{"seconds": 0}, {"seconds": -1.0}, {"bytes_max": -1}])
def test_terms_are_checked(db: replicad.Database, terms: dict[str, int]) -> None:
    """A lease without duration or with a negative budget is refused, and nothing is held."""
    with pytest.raises(replicad.InvalidArgument, match=next(iter(terms))):
        db.cut(**terms)  # type: ignore[arg-type]
    assert db.stats()["snapshots"] == 0


def test_checkpoint_of_an_ended_lease(db: replicad.Database, clock: ManualClock, tmp_path: Path) -> None:
    """A checkpoint whose cut ends on the way fails with the reason, and leaves nothing behind."""
    from replicad.store.copies.checkpoint import write_checkpoint

    fill(db, 300)
    cut = db.cut(flush=True, seconds=5)
    clock.now += 6
    with pytest.raises(replicad.ClosedError, match="5 s is over"):
        write_checkpoint(Env(), cut, tmp_path / "copy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["db"]


def test_log_of_an_expired_lease_goes(tmp_path: Path, clock: ManualClock) -> None:
    """Nobody has to ask here either: the next flush ends a lease that is over, without any compaction."""
    options = small_options(log_retention_bytes=0, level0_compaction_tables=50, level0_stall_tables=100)
    with open_database(tmp_path / "db", options, env=Env(clock=clock)) as db:
        fill(db, 100)
        cut = db.cut(seconds=5)
        fill(db, 1000)
        db.flush()
        assert db.oldest_log_sequence == 1
        clock.now += 6
        fill(db, 1000)
        db.flush()
        eventually(lambda: db.oldest_log_sequence > 1000)
        with pytest.raises(replicad.ClosedError):
            cut.raise_if_closed()
