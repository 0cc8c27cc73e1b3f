"""Many hosts at one target, with clocks apart, pauses at every step, deaths and requests that arrive late."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

import replicad
from replicad import BackupEngine, BackupEngineOptions
from replicad.env import Env
from tests.support.backups.target_world import DAY_SECONDS, Actor, World
from tests.support.backups.watched import orphans
from tests.support.manual_clock import ManualClock
from tests.support.stores.small import fill, small_options

pytestmark = pytest.mark.long

RUNS = int(os.environ.get("INTERLEAVINGS", "60"))
FIRST = int(os.environ.get("INTERLEAVINGS_FIRST", "0"))
DAY_US = 24 * 3600 * 1_000_000
ALONE = BackupEngineOptions(max_background_operations=1)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Of three moments of one database; they share tables."""
    directory = tmp_path_factory.mktemp("checkpoints")
    found = []
    with replicad.open(directory / "db", small_options()) as database:
        for number in range(3):
            fill(database, 12, start=20 * number)
            database.flush()
            found.append(directory / f"{number}")
            database.create_checkpoint(found[-1])
    return found


class Host:
    """Does a few things with the target, and remembers what came of them."""

    def __init__(self, world: World, checkpoints: list[Path]) -> None:
        self._world = world
        self._checkpoints = checkpoints
        self.made: set[int] = set()
        self.leaving: set[int] = set()

    def work(self, target: Actor) -> None:
        rng = self._world.random
        clock = ManualClock()
        clock.wall = 1_700_000_000_000_000 + rng.choice([-2, 0, 0, 2]) * DAY_US
        engine = BackupEngine(target, ALONE, env=Env(clock=clock, random=self._world))
        for _ in range(rng.choice([1, 2])):
            do = rng.choice([self._create, self._create, self._delete, self._collect])
            try:
                do(engine)
            except (replicad.StoppedError, replicad.NotFoundError, TimeoutError):
                continue

    def _create(self, engine: BackupEngine) -> None:
        self.made.add(engine.create_backup(self._world.random.choice(self._checkpoints)).id)

    def _delete(self, engine: BackupEngine) -> None:
        there = [info.id for info in engine.get_backup_info()]
        if there:
            id = self._world.random.choice(there)
            self.leaving.add(id)
            engine.delete_backup(id)

    def _collect(self, engine: BackupEngine) -> None:
        engine.garbage_collect()


Work = Callable[[BackupEngine], object]


class Stage:
    """A target with one backup, and hosts that are let on as a test says."""

    def __init__(self, checkpoints: list[Path]) -> None:
        self.world = World(0)
        self.world.calm = True
        self.made: list[int] = []
        self._checkpoints = checkpoints
        self.host(self.create(0)).run()

    def host(self, work: Work) -> Actor:
        def go(target: Actor) -> None:
            with suppress(replicad.StoppedError):
                work(BackupEngine(target, ALONE, env=Env(random=self.world)))

        return Actor(self.world, "host", go)

    def create(self, number: int) -> Work:
        return lambda engine: self.made.append(engine.create_backup(self._checkpoints[number]).id)

    def problems(self, deleted: set[int]) -> list[str]:
        """What is wrong in the end, before and after a collection."""
        return _judged(self.world, set(self.made) - deleted)


REMOVALS: dict[str, tuple[Work, set[int], float]] = {
    "delete": (lambda engine: engine.delete_backup(1), {1}, 0.0),
    "collect long after": (lambda engine: engine.garbage_collect(), set(), 2 * DAY_SECONDS),
}


@pytest.mark.parametrize("removal", REMOVALS)
def test_a_create_and_a_removal_that_both_pause(checkpoints: list[Path], removal: str) -> None:
    """The create goes so far, the removal so far, the create to its end, the removal to its end."""
    remove, deleted, later = REMOVALS[removal]
    wrong = []
    first = second = 0
    while True:
        stage = Stage(checkpoints)
        creating, removing = stage.host(stage.create(1)), stage.host(remove)
        reached = creating.run(first) == first
        stage.world.now += later
        paused = removing.run(second) == second
        creating.run()
        removing.run()
        if found := stage.problems(deleted):
            wrong.append((first, second, found))
        if not reached:
            break
        first, second = (first, second + 2) if paused else (first + 1, first % 2)
    assert first > 15
    assert not wrong


def test_a_create_that_is_seen_and_done_before_it_is_read(checkpoints: list[Path]) -> None:
    """A removal finds the claim of a create in its last look, and the create is done before it reads that."""
    wrong = []
    first, last = 0, 0
    while True:
        stage = Stage(checkpoints)
        removing = stage.host(lambda engine: engine.delete_backup(1))
        creating = stage.host(stage.create(1))
        reached = removing.run(first) == first
        creating.run(4)
        removing.run(last)
        creating.run()
        removing.run()
        if found := stage.problems({1}):
            wrong.append((first, last, found))
        if not reached:
            break
        first, last = (first, last + 1) if last < 6 else (first + 1, 0)
    assert first > 15
    assert not wrong


@pytest.mark.parametrize("where", ["shared_checksum/", "private/", "meta/"])
def test_requests_that_arrive_after_they_failed(checkpoints: list[Path], where: str) -> None:
    """What was reported as failed, and happens all the same while others go on, takes nothing from them."""
    for number in range(12):
        stage = Stage(checkpoints)
        countdown = iter(range(number, -1, -1))
        stage.world.is_slow = lambda name, left=countdown: name.startswith(where) and next(left, 1) == 0  # type: ignore[misc]

        def unless_slow(engine: BackupEngine, stage: Stage = stage) -> None:
            with suppress(TimeoutError):
                engine.delete_backup(1)
            with suppress(TimeoutError):
                stage.create(1)(engine)

        stage.host(unless_slow).run()
        stage.world.is_slow = lambda name: False
        stage.host(stage.create(0)).run()
        stage.world.arrive()
        assert not stage.problems({1}), number


def test_a_maker_that_wakes_after_it_was_given_up_and_dies(checkpoints: list[Path]) -> None:
    """Wherever it slept and however far it comes, what it leaves is no backup, or a whole one."""
    wrong = []
    for slept_at in range(40):
        for steps in range(4):
            stage = Stage(checkpoints)
            creating = stage.host(stage.create(1))
            creating.run(slept_at)
            stage.world.now += 2 * DAY_SECONDS
            stage.host(lambda engine: engine.delete_backup(1)).run()
            creating.run(steps)
            creating.die()
            if found := stage.problems({1}):
                wrong.append((slept_at, steps, found))
    assert not wrong


def test_four_hosts_of_which_two_pause(checkpoints: list[Path]) -> None:
    """One removes and one creates, and both pause; one collects meanwhile, and one more creates."""
    wrong = []
    first, second = 0, 3
    while True:
        stage = Stage(checkpoints)
        removing = stage.host(lambda engine: engine.delete_backup(1))
        creating = stage.host(stage.create(1))
        reached = removing.run(first) == first
        paused = creating.run(second) == second
        stage.host(lambda engine: engine.garbage_collect()).run()
        stage.host(stage.create(0)).run()
        for host in (removing, creating):
            host.run()
        if found := stage.problems({1}):
            wrong.append((first, second, found))
        if not reached:
            break
        first, second = (first, second + 5) if paused else (first + 1, 3)
    assert first > 15
    assert not wrong


def play(seed: int, checkpoints: list[Path]) -> str | None:
    """What went wrong, if anything did."""
    world = World(seed)
    hosts = [Host(world, checkpoints) for _ in range(4)]
    for host in hosts[:2]:
        world.calm = True
        world.run(
            [
                Actor(
                    world,
                    "first",
                    lambda target, host=host: host.made.add(  # type: ignore[misc]
                        BackupEngine(target, ALONE).create_backup(checkpoints[0]).id
                    ),
                )
            ]
        )
        world.calm = False
    world.run([Actor(world, f"{number}", host.work) for number, host in enumerate(hosts)])
    made = {id for host in hosts for id in host.made} - {id for host in hosts for id in host.leaving}
    problems = _judged(world, made)
    return f"seed {seed}: {problems}" if problems else None


def _judged(world: World, made: set[int]) -> list[str]:
    problems: list[str] = []

    def judge(target: Actor) -> None:
        engine = BackupEngine(target, ALONE)
        there = {info.id for info in engine.get_backup_info()}
        if lost := made - there:
            problems.append(f"backups {lost} are gone")
        for when in ("at the end", "after a collection"):
            if not (found := engine.verify_backups(checksums=True)).ok:
                problems.append(f"{when}: {found.problems}")
            engine.garbage_collect(0)
        # What a remover that died had published stays as long as somebody needs one of those files.
        left = {name for name in orphans(engine) if not name.startswith("meta/gc-")}
        if left:
            problems.append(f"nobody needs {left}")

    world.calm = True
    Actor(world, "judge", judge).run()
    return problems


def test_no_order_of_steps_loses_a_backup(checkpoints: list[Path]) -> None:
    """What was reported done is there, what is there is whole, and what nobody needs goes in the end."""
    print("seeds", FIRST, "to", FIRST + RUNS - 1)
    wrong = [found for seed in range(FIRST, FIRST + RUNS) if (found := play(seed, checkpoints)) is not None]
    assert not wrong
