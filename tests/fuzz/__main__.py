"""`make fuzz`: every decoder of bytes that somebody else wrote, under inputs that nobody meant.

The kernels' decoders run under libFuzzer with AddressSanitizer and UBSan, the readers in Python under
hypothesis, and a server with users under streams that come before a login (`login.py`), each for its share of
the time. Prints the seed and how many inputs each one read. An input that
fails is kept as a file, and the command that reads it again is printed. Ends with 1 when there was one.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.fuzz import login, native
from tests.fuzz.corpus import target_of
from tests.fuzz.readers import READERS
from tests.fuzz.share import Share, fuzz
from tests.support.command import run

EVERY_TARGET = [*native.TARGETS, *READERS, login.TARGET]


def main() -> int:
    arguments = _arguments()
    has_native = native.is_available()
    if not has_native:
        print(
            f"*** SKIPPED: the kernels' decoders ({', '.join(native.TARGETS)}): {native.PROBLEM}", flush=True
        )
    if arguments.case is not None:
        return replay(arguments.case)
    targets = [*(native.TARGETS if has_native else ()), *READERS, login.TARGET]
    if arguments.targets:
        targets = [target for target in targets if target in arguments.targets]
    if has_native:
        native.build()
    seconds = arguments.seconds * min(arguments.jobs, len(targets)) / max(1, len(targets))
    print(f"seed {arguments.seed}, {len(targets)} targets for {seconds:.1f} s each", flush=True)
    shares = [Share(target, seconds, arguments.seed) for target in targets]
    failed = inputs = 0
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.jobs, mp_context=spawn) as pool:
        for share, ran in zip(shares, pool.map(fuzz, shares), strict=True):
            inputs += ran.inputs
            failed += bool(ran.report)
            print(f"{share.target:12} {ran.inputs:9} inputs  {'FAILED' if ran.report else 'ok'}", flush=True)
            if ran.report:
                print(f"{ran.report}\nagain: make fuzz CASE={ran.case}", flush=True)
    print(f"seed {arguments.seed}: {inputs} inputs read by {len(targets)} targets, {failed} failed")
    return 1 if failed else 0


def replay(case: Path) -> int:
    """Reads one input once more."""
    target = target_of(case)
    if target in READERS:
        READERS[target].run(case.read_bytes())
    elif target == login.TARGET:
        login.replay(case.read_bytes())
    elif target in native.TARGETS:
        native.build()
        report = native.replay(target, [case]).report
        if report:
            print(report)
            return 1
    else:
        sys.exit(f"{case} is of no target: its name begins with one of {', '.join(EVERY_TARGET)}")
    print(f"{target} reads {case} as it should")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="for all targets together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--targets", nargs="*", choices=EVERY_TARGET, help="all by default")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--case", type=Path, help="read this input again, and nothing else")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
