"""Limits that options give, and work on several threads."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

import pytest

import replicad
from replicad import BackupEngine, BackupEngineOptions, Database
from replicad.backup.directory_target import DirectoryTarget
from replicad.backup.workers import run_all
from replicad.env import Env, ThreadRateLimiter
from tests.support.backups.watched import WatchedTarget
from tests.support.manual_clock import ManualClock


@pytest.mark.parametrize("rate", [0, -1])
def test_impossible_rates_are_refused_wherever_they_are_given(rate: float) -> None:
    """They are refused wherever they are given."""
    with pytest.raises(replicad.InvalidArgument):
        ThreadRateLimiter(ManualClock()).bytes_per_second = rate
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

    assert run_all(Env(), 4, [partial(job, number) for number in range(8)]) == list(range(8))


@pytest.mark.parametrize("workers", [1, 3])
def test_the_first_failure_is_raised(workers: int) -> None:
    """And what has not begun does not begin."""
    begun: list[int] = []

    def job(number: int) -> None:
        begun.append(number)
        if number == 2:
            raise RuntimeError("the third")

    with pytest.raises(RuntimeError, match="the third"):
        run_all(Env(), workers, [partial(job, number) for number in range(1000)])
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
