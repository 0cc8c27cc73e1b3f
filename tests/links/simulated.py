"""`make sim LINKS=1`: seeds of the model of linked primaries (tests/replication/links/model.py).

Every run has a shape of links and a random course; in the middle of most of them a member joins or leaves, a
site is silent for longer than it is waited for, a link is seeded again that was slow, or a forced promotion
loses writes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

from tests.replication.links.model import World

STEPS = 800
CHUNK = 20


def play(seed: int) -> str | None:
    """What was wrong, or None."""
    world = World(seed)
    course = world.draw.choice(list(COURSES))
    try:
        _run(world, STEPS)
        late = COURSES[course](world)
        # Later writes would hide a key that came back.
        _run(world, world.draw.choice((0, STEPS)))
        world.settle()
        data = world.check_equal()
        lost = {key for key, value in late.items() if data.get(key) != value}
        assert not lost, f"{sorted(lost)} of the silent site are lost"
        if course not in NEWEST_UNKNOWN:
            wrong = {key for key, value in world.expected().items() if data.get(key) != value}
            assert not wrong, f"{sorted(wrong)} do not hold the newest write"
        if course == "nothing else":
            world.check()
    except Exception as error:
        return f"{world.topology}, {course}: {type(error).__name__}: {error}"
    return None


def _run(world: World, steps: int) -> None:
    for _ in range(steps):
        world.step()


def _joins(world: World) -> dict[bytes, bytes]:
    world.join(world.draw.choice(world.links), replaces=world.topology.startswith("ring"))
    return {}


def _stalls(world: World) -> dict[bytes, bytes]:
    world.stall(STEPS)
    return {}


def _leaves(world: World) -> dict[bytes, bytes]:
    if len(world.sites) > 2:
        world.leave()
    return {}


def _loses(world: World) -> dict[bytes, bytes]:
    world.lose()
    return {}


COURSES: dict[str, Callable[[World], dict[bytes, bytes]]] = {
    "nothing else": lambda world: {},
    "a member joins": _joins,
    "a member leaves": _leaves,
    "a link is slow": _stalls,
    "a site is silent": lambda world: world.isolate(STEPS),
    "a site loses writes": _loses,
}
"""What happens on the way; the writes of a site that nobody reached, if there is one."""


NEWEST_UNKNOWN = ("a site loses writes", "a member leaves")
"""No log that is left speaks of some writes, and sites may have them."""


def play_all(seeds: range) -> int:
    """Says what failed; the exit status."""
    began, failed = time.monotonic(), 0
    with ProcessPoolExecutor(os.cpu_count() or 1) as pool:
        for seed, wrong in zip(seeds, pool.map(play, seeds, chunksize=CHUNK), strict=True):
            if wrong is not None:
                failed += 1
                print(
                    f"seed {seed} failed: {wrong}\n\n    make sim LINKS=1 RUNS=1 FIRST={seed}\n", flush=True
                )
    print(
        f"{len(seeds)} seeds of links from {seeds.start}: {failed} failed in {time.monotonic() - began:.0f} s"
    )
    return 1 if failed else 0
