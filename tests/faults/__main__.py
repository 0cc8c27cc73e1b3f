"""`make faults`: every call of a scripted run fails, in every way in which it can, once and for ever.

Prints how many runs there were of each script. A failing one has a name, which the printed command runs
again. Ends with 1 when there was one.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
import traceback
from concurrent.futures import ProcessPoolExecutor

from tests.faults.every import SCRIPTS, plans, play, prepare
from tests.faults.plan import Plan
from tests.faults.run import Wrong
from tests.support.command import run

SHOWN = 10
PROGRESS_SECONDS = 30.0


def main() -> int:
    arguments = _arguments()
    if arguments.case is not None:
        return _replay(Plan.parse(arguments.case))
    began = time.monotonic()
    failures: list[tuple[Plan, str]] = []
    total = 0
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.jobs, mp_context=spawn) as pool:
        for script in arguments.scripts:
            every = list(plans(script, arguments.every))
            failures += _play_all(pool, script, every)
            total += len(every)
    _tell(f"{total} runs with a fault", began, failures)
    for plan, wrong in failures[:SHOWN]:
        print(f"\n{wrong}\nagain: make faults CASE='{plan}'")
    return 1 if failures else 0


def _play_all(pool: ProcessPoolExecutor, script: str, every: list[Plan]) -> list[tuple[Plan, str]]:
    began = told = time.monotonic()
    failures = []
    for played, (plan, wrong) in enumerate(zip(every, pool.map(play, every, chunksize=20), strict=True)):
        if wrong is not None:
            failures.append((plan, wrong))
        if time.monotonic() - told > PROGRESS_SECONDS:
            told = time.monotonic()
            _tell(f"{script}: {played} of {len(every)} runs", began, failures)
    _tell(f"{script}: {len(every)} runs", began, failures)
    return failures


def _tell(what: str, began: float, failures: list[tuple[Plan, str]]) -> None:
    print(f"{what} in {time.monotonic() - began:.0f} s, {len(failures)} wrong", flush=True)


def _replay(plan: Plan) -> int:
    run = prepare(plan)
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
    parser.add_argument("--scripts", nargs="+", choices=SCRIPTS, default=list(SCRIPTS), help="only these")
    parser.add_argument("--every", type=int, default=1, help="only every so many-th run")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--case", help="this run alone, as it was printed")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
