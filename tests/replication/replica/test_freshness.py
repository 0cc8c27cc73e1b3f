"""How old a replica's data may be, and when it refuses to show it."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from replicad.env import Env
from replicad.replication.options import ReplicationOptions
from replicad.replication.replica.follower import Follower
from replicad.replication.replica.freshness import (
    MARKS_MAX,
    Freshness,
    fresh_at,
    lag_sequences,
    why_refused,
    why_stale,
)
from replicad.replication.replica.link_state import LinkState
from replicad.replication.wire.identify import Identity
from replicad.replication.wire.messages import Heartbeat
from replicad.types import ORIGIN
from tests.support.manual_clock import ManualClock
from tests.support.replication.fake_nodes import OPTIONS, FakeData, Primary, running
from tests.support.replication.fake_store import FakeStore
from tests.support.waiting import until


def test_data_is_as_old_as_the_last_word_that_it_had_everything() -> None:
    """Idle heartbeats keep it fresh; what is not applied yet, or silence, lets it age."""
    freshness = Freshness()
    assert freshness.staleness_seconds(0, 0.0) is None
    assert freshness.lag_seconds(0, 0.0) is None
    freshness.heard(10, 1.0, 1.0)
    assert freshness.staleness_seconds(9, 2.0) is None
    assert freshness.lag_seconds(9, 2.0) == 1.0
    assert freshness.staleness_seconds(10, 2.0) == 1.0
    freshness.heard(10, 5.0, 5.0)
    assert freshness.staleness_seconds(10, 5.5) == 0.5
    assert freshness.lag_seconds(10, 5.5) == 0.0
    freshness.heard(20, 6.0, 6.0)
    freshness.heard(30, 7.0, 7.0)
    assert freshness.staleness_seconds(15, 8.0) == 3.0
    assert freshness.lag_seconds(15, 8.0) == 2.0
    assert freshness.staleness_seconds(25, 8.0) == 2.0
    assert freshness.lag_seconds(25, 8.0) == 1.0
    assert freshness.staleness_seconds(30, 8.0) == 1.0
    assert freshness.staleness_seconds(30, 60.0) == 53.0, "nothing was heard since"
    freshness.heard(30, 60.0, 60.0)
    assert freshness.lag_seconds(25, 61.0) == 54.0, "hearing of it again does not make it newer"


def test_a_word_is_as_old_as_who_said_it_knew() -> None:
    """Where nobody says when there was nothing more, data gets no fresher; nor by an older word."""
    freshness = Freshness()
    freshness.heard(10, 5.0)
    assert freshness.staleness_seconds(10, 6.0) is None
    assert freshness.lag_seconds(9, 6.0) == 1.0
    freshness.heard(10, 7.0, 4.0)
    freshness.heard(20, 8.0)
    freshness.heard(30, 8.5, 3.0)
    assert freshness.staleness_seconds(20, 9.0) == 5.0
    assert freshness.staleness_seconds(30, 9.0) == 5.0, "it has all that 10 has"


def test_what_is_known_of_the_primary_ages() -> None:
    """By its own clock's echo, and by what nodes between say; the log itself makes nothing newer."""
    freshness = Freshness()
    assert freshness.newest_age_seconds(1.0) is None
    freshness.heard(10, 5.0, 4.5)
    assert freshness.newest_age_seconds(6.0) == 1.5
    freshness.heard(90, 8.0)
    assert freshness.newest_age_seconds(9.0) == 4.5


@pytest.mark.parametrize(
    ("applied", "newest", "age_seconds", "lag"),
    [
        (10, 10, 0.5, 0),
        (7, 10, 3.0, 3),
        (12, 10, 0.5, 0),
        (10, 10, 3.1, None),
        (10, 10, None, None),
        (10, None, 0.5, None),
    ],
)
def test_a_lag_is_what_the_primary_said_lately(
    applied: int, newest: int | None, age_seconds: float | None, lag: int | None
) -> None:
    """Whoever has all that came, and was told of nothing for long, does not know how far behind it is."""
    assert lag_sequences(applied, newest, age_seconds, 1.0) == lag


def test_what_was_heard_of_another_history_is_forgotten() -> None:
    """A primary that is at an earlier position than before, or in another epoch, begins anew."""
    freshness = Freshness()
    freshness.follow(1)
    freshness.heard(50, 1.0, 1.0)
    freshness.heard(20, 2.0, 2.0)
    assert freshness.staleness_seconds(20, 2.5) == 0.5
    assert freshness.lag_seconds(20, 2.5) == 0.0
    freshness.follow(1)
    assert freshness.staleness_seconds(20, 3.0) == 1.0
    freshness.follow(2)
    assert freshness.staleness_seconds(20, 3.0) is None
    assert freshness.lag_seconds(20, 3.0) is None


@pytest.mark.parametrize(
    ("echo_us", "age_us", "expected"),
    [
        (7_000_000, 0, 7.0),
        (7_000_000, 2_000_000, 5.0),
        (99_000_000, 0, 9.0),  # What nobody sent proves nothing beyond this moment.
        (None, 500_000, 2.5),  # Ours was not taken yet: as old as the session.
        (0, 1_000_000, 8.0),  # It does not tell.
        (7_000_000, None, None),
    ],
)
def test_a_heartbeat_is_as_new_as_what_it_answers(
    echo_us: int | None, age_us: int | None, expected: float | None
) -> None:
    """Its time on the way counts, and the age of the sender's data: it came at 9, in a session since 3."""
    heartbeat = Heartbeat(ORIGIN, 1, echo_us=echo_us, age_us=age_us)
    assert fresh_at(heartbeat, 3.0, 9.0) == expected


def test_memory_is_bounded_whatever_the_replica_does() -> None:
    """A replica that applies nothing for long keeps few marks, and the oldest one."""
    freshness = Freshness()
    for number in range(100_000):
        freshness.heard(number + 1, float(number), float(number))
    assert len(freshness._known.times) <= MARKS_MAX
    assert len(freshness._fresh.times) <= MARKS_MAX
    assert freshness.lag_seconds(0, 100_000.0) == pytest.approx(100_000, rel=0.1)
    assert freshness.staleness_seconds(100_000, 100_000.0) == 1.0


REFUSING = ReplicationOptions(stale_reads="refuse")
LIMITED = ReplicationOptions(max_staleness_seconds=5.0)


@pytest.mark.parametrize(
    ("options", "state", "staleness", "code"),
    [
        (ReplicationOptions(), "bootstrapping", None, None),
        (REFUSING, "streaming", 99.0, None),
        (REFUSING, "bootstrapping", 0.0, "MASTERDOWN"),
        (REFUSING, "waiting", 0.0, "MASTERDOWN"),
        (LIMITED, "waiting", 4.9, None),
        (LIMITED, "streaming", 5.1, "STALE"),
        (LIMITED, "streaming", None, "STALE"),
    ],
)
def test_reads_are_refused(
    options: ReplicationOptions, state: str, staleness: float | None, code: str | None
) -> None:
    """By configuration only: when the link is not streaming, or the data may be too old."""
    refusal = why_refused(LinkState(state), staleness, options)
    assert (refusal and refusal.split()[0]) == code


@pytest.mark.parametrize(
    ("options", "state", "staleness", "said"),
    [
        (ReplicationOptions(), "streaming", 99.0, None),
        (ReplicationOptions(), "waiting", None, None),
        (ReplicationOptions(), "bootstrapping", 0.0, "a new copy"),
        (ReplicationOptions(), "rewinding", 0.0, "another from here on"),
        (REFUSING, "streaming", 99.0, None),
        (LIMITED, "streaming", 4.9, None),
        (LIMITED, "streaming", 5.1, "5.1 s old"),
        (LIMITED, "waiting", None, "of unknown age"),
        (LIMITED, "bootstrapping", 9.0, "a new copy"),
    ],
)
def test_data_is_said_to_be_stale(
    options: ReplicationOptions, state: str, staleness: float | None, said: str | None
) -> None:
    """Over its limit of age, or while other data is on its way, whether reads are refused or not."""
    why = why_stale(LinkState(state), staleness, options)
    assert why is None if said is None else why is not None and said in why


async def test_no_wall_clock_says_how_old_data_is(tmp_path: Path) -> None:
    """One that jumps by years, on either side, makes nothing older or fresher."""
    clock, primary = ManualClock(), Primary(FakeStore(), tmp_path / "p")
    clock.wall = 1_700_000_000_000_000
    identity, data = Identity(b"R" * 16, b"r" * 16), FakeData(FakeStore())
    follower = Follower(
        Env(clock=clock), identity, data.as_data(), tmp_path / "r", primary.dial, OPTIONS, lambda: None
    )
    task = asyncio.create_task(follower.run())
    async with running(primary):
        await until(lambda: follower.ages.staleness_seconds == 0.0)
        clock.wall *= 2
        clock.now += 3.0
        await until(lambda: follower.ages.staleness_seconds == 0.0)
        assert follower.link.state == "streaming"
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
