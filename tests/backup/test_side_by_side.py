"""Creates and removals that meet at one target, wherever each of them is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import replicad
from replicad import BackupEngine, BackupEngineOptions
from replicad.backup.directory_target import DirectoryTarget
from replicad.env import Env
from tests.support.backups.watched import WatchedTarget, raise_unless_whole
from tests.support.manual_clock import ManualClock
from tests.support.stores.small import fill, small_options

QUICK = BackupEngineOptions(sync=False)
ONE_AT_A_TIME = BackupEngineOptions(max_background_operations=1)
DAY_US = 24 * 3600 * 1_000_000


class Interrupting(WatchedTarget):
    """Does something else, whole, before its request numbered `at`."""

    def __init__(self, root: Path, at: int, other: Callable[[], object]) -> None:
        super().__init__(DirectoryTarget(Env(), root, sync=False))
        self._at = at
        self._other = other
        self.count = 0

    def before(self, kind: str, name: str) -> None:
        super().before(kind, name)
        self.count += 1
        if self.count - 1 == self._at:
            self._other()


def create_into(made: list[int], engine: BackupEngine, checkpoint: Path) -> None:
    made.append(engine.create_backup(checkpoint).id)


@pytest.fixture
def checkpoints(tmp_path: Path) -> tuple[Path, Path]:
    """Of two moments of one database; they share tables."""
    with replicad.open(tmp_path / "db", small_options()) as database:
        fill(database, 600)
        database.compact()
        database.create_checkpoint(tmp_path / "early")
        fill(database, 20, start=700)
        database.flush()
        database.create_checkpoint(tmp_path / "late")
    return tmp_path / "early", tmp_path / "late"


REMOVALS: dict[str, Callable[[BackupEngine], object]] = {
    "delete": lambda engine: engine.delete_backup(1),
    "purge": lambda engine: engine.purge_old_backups(0),
    "collect": lambda engine: engine.garbage_collect(),
    "collect without grace": lambda engine: engine.garbage_collect(0),
}


@pytest.mark.parametrize("removal", REMOVALS)
def test_a_removal_at_every_moment_of_a_create(
    checkpoints: tuple[Path, Path], tmp_path: Path, removal: str
) -> None:
    """However long a create pauses, wherever: it ends whole, or not at all with a reason."""
    early, late = checkpoints
    at = 0
    while True:
        root = tmp_path / f"{at}"
        BackupEngine(root, QUICK).create_backup(early)
        beside = BackupEngine(root, QUICK)
        target = Interrupting(root, at, partial(REMOVALS[removal], beside))
        try:
            made = BackupEngine(target, ONE_AT_A_TIME).create_backup(late).id
        except (replicad.StoppedError, replicad.NotFoundError):
            assert removal == "collect without grace"
        else:
            assert made in {info.id for info in beside.get_backup_info()} or removal == "purge"
        raise_unless_whole(beside)
        if target.count <= at:
            break
        at += 1
    assert at > 10


@pytest.mark.parametrize("removal", REMOVALS)
def test_a_create_at_every_moment_of_a_removal(
    checkpoints: tuple[Path, Path], tmp_path: Path, removal: str
) -> None:
    """A removal that pauses removes nothing that a create relied on meanwhile, or wrote."""
    early, late = checkpoints
    at = 0
    while True:
        root = tmp_path / f"{at}"
        BackupEngine(root, QUICK).create_backup(early)
        engine = BackupEngine(root, QUICK)
        # What a stopped create leaves: files that nobody names, and that the next create would use.
        engine.create_backup(late)
        engine.target.write("meta/last-2", [])
        engine.target.delete(["meta/2.json"])
        made: list[int] = []
        target = Interrupting(root, at, partial(create_into, made, engine, late))
        REMOVALS[removal](BackupEngine(target, ONE_AT_A_TIME))
        assert len(made) == (target.count > at)
        there = {info.id for info in engine.get_backup_info()}
        assert set(made) <= there or removal == "purge"
        raise_unless_whole(engine)
        if target.count <= at:
            break
        at += 1
    assert at > 5


@pytest.mark.parametrize("hours", [25, -25])
def test_a_third_host_at_every_moment_of_a_removal(
    checkpoints: tuple[Path, Path], tmp_path: Path, hours: int
) -> None:
    """One removes, one whose clock is a day off collects meanwhile, and one backs up after that."""
    early, late = checkpoints
    clock = ManualClock()
    clock.wall = Env().clock.wall_us() + hours * 3_600_000_000
    at = 0
    while True:
        root = tmp_path / f"{at}"
        engine = BackupEngine(root, QUICK)
        engine.create_backup(early)
        made: list[int] = []

        def meanwhile(root: Path = root, engine: BackupEngine = engine, made: list[int] = made) -> None:
            BackupEngine(root, QUICK, env=Env(clock=clock)).garbage_collect()
            made.append(engine.create_backup(late).id)

        target = Interrupting(root, at, meanwhile)
        BackupEngine(target, ONE_AT_A_TIME).delete_backup(1)
        raise_unless_whole(engine, *made)
        if target.count <= at:
            break
        at += 1
    assert at > 10


def test_a_create_at_every_moment_of_a_create(checkpoints: tuple[Path, Path], tmp_path: Path) -> None:
    """Both end whole, with ids of their own."""
    early, late = checkpoints
    at = 0
    while True:
        root = tmp_path / f"{at}"
        engine = BackupEngine(root, QUICK)
        made: list[int] = []
        target = Interrupting(root, at, partial(create_into, made, engine, early))
        made.append(BackupEngine(target, ONE_AT_A_TIME).create_backup(late).id)
        assert len(set(made)) == len(made)
        raise_unless_whole(engine, *made)
        if target.count <= at:
            break
        at += 1
    assert at > 10


def test_a_collection_beside_a_create_that_sleeps(checkpoints: tuple[Path, Path], tmp_path: Path) -> None:
    """For an hour, by the clock of the target, its files stay; later it is given up, and says so."""
    early, late = checkpoints
    for slept_seconds, ahead, survives in ((3600, 0, True), (3600, 2, True), (48 * 3600, -2, False)):
        root = tmp_path / f"{slept_seconds}-{ahead}"
        clock = ManualClock()
        beside = BackupEngine(root, env=Env(clock=clock))
        beside.create_backup(early)
        clock.wall = Env().clock.wall_us() + ahead * DAY_US
        asleep, awake = threading.Event(), threading.Event()

        class Sleeping(WatchedTarget):
            def before(
                self, kind: str, name: str, asleep: threading.Event = asleep, awake: threading.Event = awake
            ) -> None:
                if (kind, name) == ("write", "private/2/CURRENT"):
                    asleep.set()
                    assert awake.wait(30)

        outcome: list[object] = []

        def create(root: Path = root, outcome: list[object] = outcome) -> None:
            try:
                target = Sleeping(DirectoryTarget(Env(), root))
                outcome.append(BackupEngine(target, ONE_AT_A_TIME).create_backup(late).id)
            except replicad.StoppedError as error:
                outcome.append(error)

        thread = threading.Thread(target=create)
        thread.start()
        assert asleep.wait(30)
        (pending,) = (root / "meta").glob("2-*.pending.json")
        then = pending.stat().st_mtime - slept_seconds
        os.utime(pending, (then, then))
        beside.delete_backup(1)
        beside.garbage_collect()
        awake.set()
        thread.join(30)
        if survives:
            assert outcome == [2]
        else:
            assert isinstance(outcome[0], replicad.StoppedError)
        raise_unless_whole(beside, *([2] if survives else []))


MAKE_TEN = """
import json, sys
import replicad
engine = replicad.BackupEngine(sys.argv[1])
ids = []
for _ in range(10):
    ids.append(engine.create_backup(sys.argv[2]).id)
    if sys.argv[3] == "purging":
        engine.purge_old_backups(4)
print(json.dumps(ids))
"""


@pytest.mark.parametrize("purging", ["purging", "keeping"])
def test_two_processes_back_up_to_one_target_at_once(
    checkpoints: tuple[Path, Path], tmp_path: Path, purging: str
) -> None:
    """Two processes back up to one target at once, and all that is left is whole."""
    root = tmp_path / "backups"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", MAKE_TEN, str(root), str(checkpoint), purging], stdout=subprocess.PIPE
        )
        for checkpoint in checkpoints
    ]
    ids: list[int] = []
    for process in processes:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        ids += json.loads(out)
    assert len(set(ids)) == 20
    engine = BackupEngine(root, QUICK)
    there = {info.id for info in engine.get_backup_info()}
    assert there == set(ids) if purging == "keeping" else there <= set(ids) and len(there) >= 4
    raise_unless_whole(engine)
