"""`make teeth`: our code is made wrong, one place after another, and the tests must notice each time.

First the chosen tests run without any mutation, and must pass. Prints trap, mutation and the test that caught
it. Ends with 1 when a mutation survives or no longer fits the code.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.command import run
from tests.teeth.every import MUTATIONS
from tests.teeth.mutation import TRAPS, Mutation, Stale
from tests.teeth.table import with_table
from tests.teeth.trial import SECONDS_MAX, Verdict, control, try_out

README = Path(__file__).with_name("README.md")


def main() -> int:
    arguments = _arguments()
    if arguments.table:
        README.write_text(with_table(README.read_text(), MUTATIONS))
        return 0
    chosen = [
        mutation
        for mutation in MUTATIONS
        if (not arguments.traps or mutation.trap in arguments.traps)
        and (not arguments.only or arguments.only in mutation.name)
    ]
    began = time.monotonic()
    if not arguments.without_control:
        if (wrong := control(chosen, seconds_max=20 * SECONDS_MAX)) is not None:
            print(f"the tests fail without any mutation: {wrong}", file=sys.stderr)
            return 1
        print(f"the chosen tests pass without any mutation, in {time.monotonic() - began:.0f} s", flush=True)
    verdicts = []
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for verdict in pool.map(_try_out, chosen):
            verdicts.append(verdict)
            _print(verdict)
    survived = [verdict for verdict in verdicts if not verdict.caught]
    traps = len({mutation.trap for mutation in chosen})
    seconds = time.monotonic() - began
    print(f"{len(verdicts)} mutations of {traps} traps in {seconds:.0f} s, {len(survived)} not caught")
    for verdict in survived:
        print(f"\n{verdict.mutation.name} ({verdict.mutation.file}): {verdict.says}")
        print(f"again: make teeth TEETH_FLAGS=\"--without-control --only '{verdict.mutation.name}'\"")
    return 1 if survived else 0


def _try_out(mutation: Mutation) -> Verdict:
    try:
        return try_out(mutation)
    except Stale as stale:
        return Verdict(mutation, None, str(stale))


def _print(verdict: Verdict) -> None:
    mutation = verdict.mutation
    trap = TRAPS[mutation.trap].split(":")[0]
    print(f"{mutation.trap:2} {trap:.36} | {mutation.name} | {verdict.test or 'NOT CAUGHT'}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make teeth", description=__doc__)
    parser.add_argument("--traps", type=int, nargs="*", choices=TRAPS, help="all by default")
    parser.add_argument("--only", help="mutations with this in their name")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--without-control", action="store_true", help="do not run the tests unmutated first")
    parser.add_argument("--table", action="store_true", help="write the table into tests/teeth/README.md")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
