"""`make rot`: every byte of a small database, its checkpoint and its backup is changed, one at a time, and
blocks change places.

Prints the seed and the counts. A failing case has a name, which the printed command runs again. Ends with 1
when there was one, or when a process died.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from tests.rot.check import Wrong, check
from tests.rot.damage import Damage, flips, judge, swaps
from tests.rot.subject import subject
from tests.support.command import run

SHOWN = 10
PIECE = 50
"""Cases that one process is given at once, and that are run again one by one if it dies."""


def main() -> int:
    arguments = _arguments()
    if arguments.case is not None:
        return _replay(Damage.parse(arguments.case))
    began = time.monotonic()
    sizes = [len(data) for data in subject().files.values()]
    cases = [*flips(arguments.every, seed=arguments.seed), *swaps(arguments.every)]
    counts: Counter[str] = Counter()
    wrong: list[tuple[Damage, str]] = []
    for at in range(0, len(cases), PIECE * 40):
        some = cases[at : at + PIECE * 40]
        for damage, (outcome, why) in zip(some, _judged(some, arguments.jobs), strict=True):
            counts[outcome] += 1
            if why is not None:
                wrong.append((damage, why))
    print(
        f"seed {arguments.seed}: {len(cases)} cases in {len(sizes)} files of {sum(sizes)} bytes,"
        f" {time.monotonic() - began:.0f} s: {counts['right']} read right, {counts['corruption']} found out,"
        f" {len(wrong)} wrong"
    )
    for damage, why in wrong[:SHOWN]:
        print(f"\n{why}\nagain: make rot CASE={damage}")
    return 1 if wrong else 0


def _judged(cases: list[Damage], jobs: int) -> list[tuple[str, str | None]]:
    spawn = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(jobs, mp_context=spawn) as pool:
            return list(pool.map(judge, cases, chunksize=PIECE))
    except BrokenProcessPool:
        return [_judged_alone(case) for case in cases]


def _judged_alone(case: Damage) -> tuple[str, str | None]:
    spawn = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(1, mp_context=spawn) as pool:
            return pool.submit(judge, case).result()
    except BrokenProcessPool:
        return "wrong", "the process died"


def _replay(damage: Damage) -> int:
    try:
        print(check(damage.file, damage.result()))
    except Wrong:
        traceback.print_exc()
        return 1
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make rot", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of what each byte becomes")
    parser.add_argument("--every", type=int, default=1, help="only every so many-th case")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--case", help="this one alone, as it was printed")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
