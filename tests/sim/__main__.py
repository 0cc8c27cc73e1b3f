"""`make sim`: plays seeds; one, with its trace, or many on all cores.

python -m tests.sim --seed 42
python -m tests.sim --runs 2000 --first 0
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.links.simulated import play_all as play_links
from tests.sim.scenario import Scenario, draw_failover, draw_scenario
from tests.sim.world import Outcome, play
from tests.support.command import run

CHUNK = 4
TRACE_LINES = 60
PROGRESS_SECONDS = 30.0


def outcomes(seeds: range, processes: int, draw: Callable[[int], Scenario]) -> Iterator[Outcome]:
    player = partial(play, draw=draw)
    if processes == 1:
        yield from map(player, seeds)
        return
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(player, seeds, chunksize=CHUNK)


def play_all(seeds: range, processes: int, draw: Callable[[int], Scenario]) -> int:
    """Plays seeds; says what failed, with the command that shows it again. The exit status."""
    began = time.monotonic()
    failed = frames = acknowledged = 0
    virtual = 0.0
    told = began
    which = " FAILOVER=1" if draw is draw_failover else ""
    for played, outcome in enumerate(outcomes(seeds, processes, draw)):
        if time.monotonic() - told > PROGRESS_SECONDS:
            told = time.monotonic()
            print(f"{played} of {len(seeds)} seeds in {told - began:.0f} s, {failed} failed", flush=True)
        frames += outcome.frames
        acknowledged += outcome.acknowledged
        virtual += outcome.virtual_seconds
        if outcome.failure is not None:
            failed += 1
            lines = outcome.trace.splitlines()[-TRACE_LINES:]
            print(f"\nseed {outcome.seed} failed: {outcome.failure}", *lines, sep="\n")
            print(f"\n    make sim SEED={outcome.seed}{which}\n", flush=True)
    seconds = time.monotonic() - began
    rate = len(seeds) / seconds
    print(
        f"{len(seeds)} seeds from {seeds.start}: {failed} failed; {acknowledged} writes acknowledged, "
        f"{frames} batches, {virtual:.0f} s of virtual time in {seconds:.0f} s ({rate:.1f} seeds a second)"
    )
    return 1 if failed else 0


def show(seed: int, draw: Callable[[int], Scenario]) -> int:
    """Plays one seed and prints all of it."""
    outcome = play(seed, keep_trace=True, draw=draw)
    print(outcome.trace)
    print(f"seed {seed}: {outcome.failure or 'nothing failed'}")
    print(
        f"hash {outcome.digest} of {outcome.events} events, {outcome.virtual_seconds:.1f} s of virtual time"
    )
    return 1 if outcome.failure else 0


def main() -> int:
    # Sets of names are walked in the same order in every process then.
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.sim", *sys.argv[1:]])
    parser = argparse.ArgumentParser(prog="make sim")
    parser.add_argument("--seed", type=int, help="play this one and print what happened")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="the first seed of the runs")
    parser.add_argument("--links", action="store_true", help="the model of linked primaries")
    parser.add_argument("--failover", action="store_true", help="with etcd, which decides who leads")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    if options.links:
        return play_links(range(options.first, options.first + options.runs))
    draw = draw_failover if options.failover else draw_scenario
    if options.seed is not None:
        return show(options.seed, draw)
    return play_all(range(options.first, options.first + options.runs), options.processes, draw)


if __name__ == "__main__":
    run(main)
