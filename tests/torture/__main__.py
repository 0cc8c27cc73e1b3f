"""`make torture`: real nodes under load, killed, stopped, cut off, filled up, made primary and replica.

Plays rounds until the minutes are over, each with a cluster and a seed of its own. The seed decides what
befalls whom and when; processes and disks decide the rest, so a failure may need more than one try to be seen
again. Ends with 1 at the first broken promise, and keeps everything that the nodes left.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.support.command import run
from tests.support.nodes.namespaces import ISOLATED, isolate
from tests.torture.judge import Violation
from tests.torture.plan import draw_plan
from tests.torture.round import Outcome, Round

STORY_LINES = 40
LOG_LINES = 15


def main() -> int:
    arguments = _arguments()
    if not arguments.isolated:
        isolate("tests.torture", sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    draw = random.Random(arguments.seed)
    rounds = written = read = 0
    print(f"seed {arguments.seed}, {arguments.minutes:g} minutes, in {arguments.directory}", flush=True)
    while arguments.round is None or not rounds:
        seed = draw.getrandbits(32) if arguments.round is None else arguments.round
        outcome = _play(seed, arguments)
        if outcome is None:
            return 1
        rounds, written, read = rounds + 1, written + outcome.acknowledged, read + outcome.read
        _tell(seed, outcome)
        if time.monotonic() - began > arguments.minutes * 60:
            break
    seconds = time.monotonic() - began
    print(
        f"seed {arguments.seed}: {rounds} rounds in {seconds:.0f} s, none broke a promise; "
        f"{written} writes acknowledged, {read} reads with a token"
    )
    return 0


def _play(seed: int, arguments: argparse.Namespace) -> Outcome | None:
    """None when a promise was broken."""
    directory = Path(tempfile.mkdtemp(prefix=f"{seed}-", dir=arguments.directory))
    plan = draw_plan(seed, arguments.chaos_seconds)
    try:
        round = Round(plan, directory, isolated=arguments.isolated)
        for lack in round.lacks:
            print(f"*** WARNING: {lack}", flush=True)
        outcome = round.play()
    except Violation as violation:
        print(f"\nround {seed} ({plan.promise}): {violation}\n")
        print(*_tail(directory / "story.log", STORY_LINES), sep="\n")
        for log in sorted(directory.glob("node-*.log")):
            print(f"\n--- {log.name}", *_tail(log, LOG_LINES), sep="\n")
        print(f"\nall of it is in {directory}\nagain: make torture ROUND={seed}")
        return None
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    shutil.rmtree(directory)
    return outcome


def _tell(seed: int, outcome: Outcome) -> None:
    strikes = ", ".join(f"{count} {kind}" for kind, count in sorted(outcome.strikes.items()))
    print(
        f"round {seed}: {strikes}; {outcome.acknowledged} writes acknowledged, {outcome.there} there, "
        f"{outcome.read} reads with a token, {outcome.batches} batches in every log, "
        f"equal after {outcome.equal_seconds:.1f} s, {outcome.memory_bytes >> 20} MiB at most",
        flush=True,
    )


def _tail(path: Path, lines: int) -> list[str]:
    return path.read_text(errors="replace").splitlines()[-lines:]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make torture", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="no round begins after so many")
    parser.add_argument("--seed", type=int, default=None, help="of the rounds' seeds; drawn by default")
    parser.add_argument("--round", type=int, help="play the round of this seed alone")
    parser.add_argument("--chaos-seconds", type=float, default=15.0, help="of each round")
    parser.add_argument("--directory", type=Path, default=None, help="where nodes live  [a temporary one]")
    parser.add_argument(ISOLATED, action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.seed is None:
        arguments.seed = random.SystemRandom().getrandbits(32)
    arguments.directory = arguments.directory or Path(tempfile.gettempdir()) / "replicad-torture"
    arguments.directory.mkdir(parents=True, exist_ok=True)
    return arguments


if __name__ == "__main__":
    run(main)
