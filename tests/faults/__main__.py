"""`make faults`: every call of a scripted run fails, in every way in which it can, once and for ever.

Prints how many runs there were. A failing one has a name, which the printed command runs again. Ends with 1
when there was one.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor

from tests.faults.every import plans, play
from tests.faults.plan import Plan
from tests.faults.run import Run, Wrong

SHOWN = 10


def main() -> int:
    arguments = _arguments()
    if arguments.case is not None:
        return _replay(Plan.parse(arguments.case))
    began = time.monotonic()
    every = list(plans(arguments.every))
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.jobs, mp_context=spawn) as pool:
        found = list(zip(every, pool.map(play, every, chunksize=20), strict=True))
    failures = [(plan, wrong) for plan, wrong in found if wrong is not None]
    print(f"{len(every)} runs with a fault in {time.monotonic() - began:.0f} s, {len(failures)} wrong")
    for plan, wrong in failures[:SHOWN]:
        print(f"\n{wrong}\nagain: make faults CASE='{plan}'")
    return 1 if failures else 0


def _replay(plan: Plan) -> int:
    run = Run(plan, plan.durability)
    try:
        run.play()
    except Wrong:
        print(f"it struck at {run.faults.struck}")
        traceback.print_exc()
        return 1
    print(f"{plan}: right; it struck at {run.faults.struck}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="only every so many-th run")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--case", help="this run alone, as it was printed")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
