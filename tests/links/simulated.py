"""`make sim LINKS=1`: seeds of the model of linked primaries (tests/replication/links/model.py).

Every run has a shape of links and a random course; half of them take in a new member on the way.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor

from tests.replication.links.model import World

STEPS = 800
CHUNK = 20


def play(seed: int) -> str | None:
    """What was wrong, or None."""
    world = World(seed)
    joins = world.draw.random() < 0.5
    try:
        for _ in range(STEPS):
            world.step()
        if joins:
            world.join(world.draw.choice(world.links), replaces=world.topology.startswith("ring"))
            for _ in range(STEPS):
                world.step()
        world.settle()
        if joins:
            data = world.check_equal()
            wrong = {key for key, value in world.expected().items() if data.get(key) != value}
            assert not wrong, f"{sorted(wrong)} do not hold the newest write"
        else:
            world.check()
    except Exception as error:
        return f"{world.topology}{', a member joins' * joins}: {type(error).__name__}: {error}"
    return None


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
