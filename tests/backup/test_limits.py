"""Rates, and work on several threads."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

import replicad
from replicad import BackupEngine, BackupEngineOptions, Database
from replicad.backup.directory_target import DirectoryTarget
from replicad.backup.limits import RateLimiter
from replicad.backup.workers import run_all
from replicad.env import Env
from tests.support.backups import WatchedTarget
from tests.support.manual_clock import ManualClock


class Waiting:
    """Moves the clock each time that somebody waits, so that waiting costs no time."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.waits = 0

    def __call__(self) -> None:
        self.waits += 1
        self.clock.now += 0.0001


def test_bytes_take_their_time() -> None:
    """10,000 bytes at a million a second take 10 ms of the clock, and without a limit none."""
    clock = ManualClock()
    begun = clock.now
    waiting = Waiting(clock)
    limit = RateLimiter(clock, 1_000_000)
    for _ in range(10):
        limit.take(1000, waiting)
    assert clock.now - begun == pytest.approx(0.01, abs=0.0015)
    limit.bytes_per_second = None
    waits = waiting.waits
    limit.take(1_000_000, waiting)
    assert waiting.waits == waits


def test_a_new_rate_counts_at_once() -> None:
    """Also for whoever waits already."""
    clock = ManualClock()
    limit = RateLimiter(clock, 1)

    def faster() -> None:
        limit.bytes_per_second = None

    limit.take(1_000_000, faster)
    assert limit.bytes_per_second is None


@pytest.mark.parametrize("rate", [0, -1])
def test_impossible_rates(rate: float) -> None:
    """They are refused wherever they are given."""
    with pytest.raises(replicad.InvalidArgument):
        RateLimiter(ManualClock()).bytes_per_second = rate
    with pytest.raises(replicad.InvalidArgument):
        BackupEngineOptions(read_bytes_per_second=rate)


def test_options_say_what_is_wrong() -> None:
    """With the name and the value."""
    with pytest.raises(replicad.InvalidArgument, match="max_background_operations"):
        BackupEngineOptions(max_background_operations=0)
    with pytest.raises(replicad.InvalidArgument, match="grace_seconds"):
        BackupEngineOptions(grace_seconds=-1)


def test_jobs_run_side_by_side_and_keep_their_order() -> None:
    """As many at once as there are workers."""
    barrier = threading.Barrier(4)

    def job(number: int) -> int:
        barrier.wait(30)
        return number

    assert run_all(Env(), 4, [lambda number=number: job(number) for number in range(8)]) == list(range(8))


@pytest.mark.parametrize("workers", [1, 3])
def test_the_first_failure_is_raised(workers: int) -> None:
    """And what has not begun does not begin."""
    begun: list[int] = []

    def job(number: int) -> None:
        begun.append(number)
        if number == 2:
            raise RuntimeError("the third")

    with pytest.raises(RuntimeError, match="the third"):
        run_all(Env(), workers, [lambda number=number: job(number) for number in range(1000)])
    assert len(begun) < 1000


def test_files_are_copied_side_by_side(database: Database, tmp_path: Path) -> None:
    """`max_background_operations` of them at once."""
    database.compact()
    barrier = threading.Barrier(3)

    class Meeting(WatchedTarget):
        def before(self, kind: str, name: str) -> None:
            if kind == "write" and name.startswith("private/"):
                barrier.wait(30)

    target = Meeting(DirectoryTarget(Env(), tmp_path / "backups"))
    info = BackupEngine(target, BackupEngineOptions(max_background_operations=3)).create_backup(
        database, flush_before_backup=True
    )
    assert info.id == 1
