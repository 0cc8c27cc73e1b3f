"""`make links`: linked primaries under random writes, killed and stopped, and their logs read at the end.

A pair and a ring of three, one after the other: writers at each site on the same keys; each node is killed at
random, one is stopped for a minute, and clocks are up to ten seconds off (faketime), so that links wait. Ends
with 1 when the sites do not hold the same data, a key does not hold the write with the largest stamp, or a
batch was applied twice or came home.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.links.sites import Sites, write_everywhere
from tests.support import wrong_clock
from tests.support.command import run

SHAPES = {"pair": (2, [(0, 1), (1, 0)]), "ring": (3, [(0, 1), (1, 2), (2, 0)])}
KILL_SECONDS = 4.0
CLOCK_SECONDS = 10.0
SETTLE_SECONDS = 300.0


def play(shape: str, seed: int, writes: int, keys: int, stop_seconds: float, clock_seconds: float) -> None:
    """Raises AssertionError with what is wrong."""
    count, links = SHAPES[shape]
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="replicad-links-") as directory:
        sites = Sites(Path(directory), count)
        for number, node in enumerate(sites.nodes if clock_seconds else ()):
            # From the latest clock to the earliest one: the first is ahead of all others.
            offset = clock_seconds - 2 * clock_seconds * number / (count - 1)
            node.environment |= wrong_clock.environment(offset)
        try:
            sites.start()
            for source, target in links:
                sites.link(source, target)
            began = time.monotonic()
            writers = write_everywhere(sites, seed, writes, keys)
            kills, stopped = 0, False
            while any(writer.is_alive() for writer in writers):
                time.sleep(draw.uniform(KILL_SECONDS / 2, KILL_SECONDS))
                node = draw.choice(sites.nodes)
                if not stopped:
                    stopped = True
                    node.stop()
                    time.sleep(stop_seconds)
                    node.go_on()
                    continue
                node.kill()
                node.start()
                kills += 1
            written = time.monotonic() - began
            data = sites.until_equal(SETTLE_SECONDS)
            settled = time.monotonic() - began - written
            sites.check_logs(data)
            print(
                f"{shape}: {count * writes} writes in {written:.0f} s, {kills} kills; equal {settled:.1f} s "
                f"later, {len(data)} keys; no batch twice, none home, newest writes everywhere",
                flush=True,
            )
        finally:
            sites.end()


def main() -> int:
    parser = argparse.ArgumentParser(prog="make links", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--writes", type=int, default=100_000, help="at each site")
    parser.add_argument("--keys", type=int, default=1000)
    parser.add_argument("--stop-seconds", type=float, default=60.0)
    parser.add_argument("--clock-seconds", type=float, default=CLOCK_SECONDS, help="how far clocks are off")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    if options.clock_seconds and not wrong_clock.is_installed():
        print("*** faketime is not installed: all clocks are right ***", flush=True)
        options.clock_seconds = 0.0
    for shape in options.shapes:
        try:
            play(
                shape, options.seed, options.writes, options.keys, options.stop_seconds, options.clock_seconds
            )
        except AssertionError:
            traceback.print_exc()
            print(f"{shape} failed\n\n    make links SEED={options.seed}", flush=True)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
