"""Which time a commit gets while the wall clock does what it wants."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import replicad
from replicad.env import Env
from replicad.store.commit_clock import DOUBTED_US, NEVER_US, CommitClock, Judgement, judge
from replicad.store.database import Database, open_database
from tests.support.manual_clock import ManualClock
from tests.support.stores.small import small_options

SECOND = 1_000_000
MINUTE, DAY, YEAR = 60 * SECOND, 86_400 * SECOND, 365 * 86_400 * SECOND
NOW = 1_790_000_000 * SECOND


@pytest.mark.parametrize(
    ("wall_us", "limit_us", "expected"),
    [
        (NOW, 10 * MINUTE, Judgement(0, NOW + 10 * MINUTE, 0)),
        (NOW - YEAR, 10 * MINUTE, Judgement(0, NOW - YEAR + 10 * MINUTE, 0)),
        (NOW + 10 * MINUTE, 10 * MINUTE, Judgement(0, NOW + 20 * MINUTE, 0)),
        (NOW + YEAR, 10 * MINUTE, Judgement(NOW + YEAR, NOW + YEAR + DOUBTED_US, YEAR)),
        (NOW + 11, 10, Judgement(NOW + 11, NOW + 11 + DOUBTED_US, 11)),
        (NOW + YEAR, 0, Judgement(0, NEVER_US, 0)),
    ],
)
def test_a_clock_is_believed_up_to_the_limit(wall_us: int, limit_us: int, expected: Judgement) -> None:
    assert judge(wall_us, NOW, limit_us) == expected


@pytest.fixture
def clock() -> ManualClock:
    clock = ManualClock()
    clock.wall = NOW
    return clock


def passes(clock: ManualClock, seconds: float) -> None:
    """Both clocks go on."""
    assert clock.wall is not None
    clock.now += seconds
    clock.wall += int(seconds * SECOND)


def jumps(clock: ManualClock, by_us: int) -> None:
    assert clock.wall is not None
    clock.wall += by_us


def test_time_that_passed_is_no_jump(clock: ManualClock) -> None:
    """Days without a write, or a machine that slept."""
    times = CommitClock(clock, 600)
    times.look(0)
    passes(clock, 40 * 86_400)
    assert (times.now_us(0), times.ahead_us) == (NOW + 40 * DAY, 0)


def test_a_jump_ahead_is_not_believed_until_the_clock_is_back(clock: ManualClock) -> None:
    times = CommitClock(clock, 600)
    times.look(0)
    jumps(clock, YEAR)
    assert (times.now_us(0), times.ahead_us) == (NOW, YEAR)
    passes(clock, 30)
    assert (times.now_us(0), times.ahead_us) == (NOW + 30 * SECOND, YEAR)
    jumps(clock, -YEAR)
    assert (times.now_us(0), times.ahead_us) == (NOW + 30 * SECOND, 0)


def test_a_clock_that_was_set_back_may_return(clock: ManualClock) -> None:
    times = CommitClock(clock, 600)
    times.look(0)
    jumps(clock, -YEAR)
    assert times.now_us(0) == NOW - YEAR
    passes(clock, 30)
    jumps(clock, YEAR)
    assert (times.now_us(0), times.ahead_us) == (NOW + 30 * SECOND, 0)


def test_a_clock_behind_the_last_commit_is_wrong_and_may_jump(clock: ManualClock) -> None:
    """A machine without a battery starts with an old time, and gets the true one later."""
    times = CommitClock(clock, 600)
    times.look(NOW + DAY)
    jumps(clock, 2 * DAY)
    assert (times.now_us(NOW + DAY), times.ahead_us) == (NOW + 2 * DAY, 0)


def times_of(database: Database) -> list[int]:
    return [update.commit_time for update in database.get_updates_since(1)]


def open_with(clock: ManualClock, path: Path, **options: Any) -> Database:
    return open_database(path, small_options(durability="sync", **options), env=Env(clock=clock))


def test_a_write_while_the_clock_is_ahead_gets_the_true_time(tmp_path: Path, clock: ManualClock) -> None:
    """Every way to write: none may stamp what comes after with that time."""
    with open_with(clock, tmp_path / "db") as database:
        batch = replicad.WriteBatch()
        batch.put(b"b", b"v")
        ways: list[Callable[[], object]] = [
            lambda: database.put(b"a", b"v"),
            lambda: database.write(batch),
            lambda: database.delete(b"a"),
            lambda: database.create_family("f"),
            lambda: database.submit(batch),
        ]
        expected: list[int] = []
        for way in ways:
            jumps(clock, YEAR)
            way()
            expected.append(NOW + len(expected) * SECOND)
            assert database.stats()["clock"] == {"ahead_seconds": YEAR / SECOND, "behind_seconds": 0.0}
            jumps(clock, -YEAR)
            passes(clock, 1)
        database.put(b"a", b"v")
        assert times_of(database) == [*expected, NOW + len(ways) * SECOND]
        assert database.stats()["clock"]["ahead_seconds"] == 0.0
        jumps(clock, YEAR)
        with database.cut() as cut:
            assert cut.taken_us == NOW + len(ways) * SECOND


def test_the_limit_is_an_option(tmp_path: Path, clock: ManualClock) -> None:
    with open_with(clock, tmp_path / "db", clock_jump_seconds_max=0) as database:
        database.put(b"a", b"v")
        jumps(clock, YEAR)
        database.put(b"a", b"v")
        assert times_of(database) == [NOW, NOW + YEAR]


def test_a_database_whose_last_commit_is_in_the_future_says_so(tmp_path: Path, clock: ManualClock) -> None:
    """Its commit times stand still until then."""
    with open_with(clock, tmp_path / "db") as database:
        database.put(b"a", b"v")
    jumps(clock, -DAY)
    with open_with(clock, tmp_path / "db") as database:
        assert any("86400 seconds in the future" in note for note in database.notes)
        database.put(b"a", b"v")
        assert times_of(database) == [NOW, NOW]
        assert database.stats()["clock"] == {"ahead_seconds": 0.0, "behind_seconds": DAY / SECOND}
