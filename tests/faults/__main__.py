"""`make faults`: every call of a scripted run fails, in every way in which it can, once and for ever; and
calls of the library are interrupted at every bytecode.

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

from tests.faults import interrupt
from tests.faults.every import SCRIPTS, plans, play, prepare
from tests.faults.plan import Plan
from tests.faults.run import Wrong
from tests.support.command import run

SHOWN = 10
PROGRESS_SECONDS = 30.0
Failures = list[tuple[Plan | interrupt.Moment, str]]


def main() -> int:
    arguments = _arguments()
    if arguments.case is not None and arguments.case.startswith("interrupt/"):
        found = interrupt.play(interrupt.Moment.parse(arguments.case))
        print(found or f"{arguments.case}: right")
        return 0 if found is None else 1
    if arguments.case is not None:
        return _replay(Plan.parse(arguments.case))
    began = time.monotonic()
    failures: Failures = []
    total = 0
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.jobs, mp_context=spawn) as pool:
        for script in arguments.scripts or SCRIPTS:
            every = list(plans(script, arguments.every))
            failures += _play_all(pool, script, every)
            total += len(every)
        if arguments.scripts is None:
            interrupted = _interrupt_all(pool, arguments.every)
            failures += interrupted[1]
            total += interrupted[0]
    _tell(f"{total} runs with a fault", began, failures)
    for plan, wrong in failures[:SHOWN]:
        print(f"\n{wrong}\nagain: make faults CASE='{plan}'")
    return 1 if failures else 0


def _interrupt_all(pool: ProcessPoolExecutor, every: int) -> tuple[int, Failures]:
    """An exception from outside at each bytecode of each call: (how many runs, what was wrong)."""
    total = 0
    failures: Failures = []
    for scenario in interrupt.SCENARIOS:
        for durability in interrupt.DURABILITIES:
            began = time.monotonic()
            each = interrupt.moments(scenario, durability, every)
            wrongs = pool.map(interrupt.play, each, chunksize=4)
            found: Failures = [
                (moment, wrong) for moment, wrong in zip(each, wrongs, strict=True) if wrong is not None
            ]
            _tell(f"interrupted {scenario}, {durability}: {len(each)} bytecodes", began, found)
            total, failures = total + len(each), failures + found
    return total, failures


def _play_all(pool: ProcessPoolExecutor, script: str, every: list[Plan]) -> Failures:
    began = told = time.monotonic()
    failures: Failures = []
    for played, (plan, wrong) in enumerate(zip(every, pool.map(play, every, chunksize=20), strict=True)):
        if wrong is not None:
            failures.append((plan, wrong))
        if time.monotonic() - told > PROGRESS_SECONDS:
            told = time.monotonic()
            _tell(f"{script}: {played} of {len(every)} runs", began, failures)
    _tell(f"{script}: {len(every)} runs", began, failures)
    return failures


def _tell(what: str, began: float, failures: Failures) -> None:
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
    parser.add_argument("--scripts", nargs="+", choices=SCRIPTS, help="only these, and no interrupted calls")
    parser.add_argument("--every", type=int, default=1, help="only every so many-th run")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--case", help="this run alone, as it was printed")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
