"""`make crash`: every state that a crash may leave, at every operation of short workloads, and of recovery.

Prints the seed and the number of distinct states that were opened. A failing state is kept as a file, and the
command that opens it again is printed. Ends with 1 when there was one.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
import traceback
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.crash.cases import load
from tests.crash.examine import Wrong, examine
from tests.crash.explore import Limits, Report, Share, explore
from tests.crash.workloads import WORKLOADS
from tests.support.command import run

PARTS = 8
"""Shares of a workload, so that the last one to end does not keep everybody waiting."""
SHOWN = 5
"""Failures that are told at length; all are kept."""


def main() -> int:
    arguments = _arguments()
    if arguments.case is not None:
        return replay(arguments.case)
    began = time.monotonic()
    limits = Limits(second_states=arguments.second)
    shares = [
        Share(name, arguments.seed, part, PARTS, limits)
        for name in arguments.workloads or WORKLOADS
        for part in range(PARTS)
    ]
    print(f"seed {arguments.seed}, {len(shares) // PARTS} workloads, {arguments.jobs} processes", flush=True)
    reports: dict[str, list[Report]] = defaultdict(list)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.jobs, mp_context=spawn) as pool:
        for report in pool.map(explore, shares):
            reports[report.workload].append(report)
            if len(reports[report.workload]) == PARTS:
                _print(report.workload, reports[report.workload])
    every = [report for some in reports.values() for report in some]
    distinct = len(set().union(*(report.keys for report in every)))
    failures = [case for report in every for case in report.failures]
    seconds = time.monotonic() - began
    print(
        f"seed {arguments.seed}: {distinct} distinct states opened in {seconds:.0f} s, {len(failures)} wrong"
    )
    kept = [(case, case.save(arguments.keep)) for case in failures]
    for case, path in kept[:SHOWN]:
        print(f"\n{case.workload}: {case.wrong}\n{case.story}\nagain: make crash CASE={path}")
    if len(kept) > SHOWN:
        print(f"\n{len(kept) - SHOWN} more in {arguments.keep}")
    return 1 if failures else 0


def _print(workload: str, reports: list[Report]) -> None:
    first = set().union(*(report.first for report in reports))
    keys = set().union(*(report.keys for report in reports))
    wrong = sum(len(report.failures) for report in reports)
    print(
        f"{workload:24} {reports[0].operations:4} operations {len(first):6} states"
        f" {len(keys) - len(first):7} of second crashes {wrong:4} wrong",
        flush=True,
    )


def replay(path: Path) -> int:
    """Opens a kept case once more."""
    case = load(path)
    print(f"{case.workload}, seed {case.seed}: {case.wrong}\n{case.story}")
    try:
        examine(case.image, WORKLOADS[case.workload](), case.expectation)
    except Wrong as wrong:
        print(f"still wrong: {wrong}")
        traceback.print_exc()
        return 1
    print("right now")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make crash", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--second", type=int, default=60, help="states of a second crash for each of a first")
    parser.add_argument("--workloads", nargs="*", choices=WORKLOADS, help="all by default")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep", type=Path, default=Path("build/crash"), help="where failing cases are kept")
    parser.add_argument("--case", type=Path, help="open this one again")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
