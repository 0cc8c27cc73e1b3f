"""`make failover`: three nodes and three members of etcd under writes; one fault a round, and who leads then.

Ends with 1 when an acknowledged write is lost or there twice, nodes differ, two nodes acknowledge in one
epoch, another node leads where none should, or no other one where it should; and when a failover after a kill
takes longer than the lease and two seconds. Then everything that the nodes left is kept.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.failover.plan import KILLS, KINDS, WITH_CABLES, draw_plan
from tests.failover.rounds import Outcome, Rounds
from tests.support.command import run
from tests.support.etcd.servers import PROGRAM
from tests.support.nodes.namespaces import ISOLATED, isolate
from tests.torture.judge import Violation

BEYOND_SECONDS = 2.0
"""So much longer than its lease may a failover take."""
STORY_LINES = 30
LOG_LINES = 15


def main() -> int:
    arguments = _arguments()
    if PROGRAM is None:
        print("*** etcd is not installed, and nothing is proved: apt-get install etcd-server ***", flush=True)
        return 1
    if not arguments.isolated:
        isolate("tests.failover", sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    directory = Path(tempfile.mkdtemp(prefix=f"{arguments.seed}-", dir=arguments.directory))
    print(
        f"seed {arguments.seed}, {arguments.rounds} rounds, ttl {arguments.ttl} s, in {directory}", flush=True
    )
    try:
        outcomes = _play(directory, arguments)
    except (Violation, AssertionError) as violation:
        print(f"\n{type(violation).__name__}: {violation}\n")
        print(*_tail(directory / "story.log", STORY_LINES), sep="\n")
        for log in sorted(directory.glob("node-*.log")):
            print(f"\n--- {log.name}", *_tail(log, LOG_LINES), sep="\n")
        print(f"\nall of it is in {directory}\nagain: {_again(arguments)}")
        return 1
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    late = _tell(outcomes, None if arguments.untimed else arguments.ttl + BEYOND_SECONDS)
    if late:
        print(f"\nall of it is in {directory}\nagain: {_again(arguments)}")
        return 1
    if not arguments.keep:
        shutil.rmtree(directory)
    return 0


def _play(directory: Path, arguments: argparse.Namespace) -> list[Outcome]:
    outcomes: list[Outcome] = []
    began = time.monotonic()
    rounds = Rounds(directory, arguments.seed, arguments.ttl, isolated=arguments.isolated)
    try:
        kinds = list(arguments.kinds)
        if rounds.lacks and (without := [kind for kind in kinds if kind in WITH_CABLES]):
            print(f"*** WARNING: without {', '.join(without)}: {rounds.lacks} ***", flush=True)
            kinds = [kind for kind in kinds if kind not in WITH_CABLES]
        rounds.start()
        for number, kind in enumerate(draw_plan(arguments.seed, arguments.rounds, kinds), 1):
            outcome = rounds.play(kind)
            outcomes.append(outcome)
            took = "the same node leads"
            if outcome.failover_seconds is not None:
                took = f"another node acknowledges after {outcome.failover_seconds:.2f} s"
            print(
                f"{number:4} {kind:15} {took}; at most {outcome.longest_gap:.2f} s without an answer, "
                f"{outcome.acknowledged} acknowledged, {outcome.unknown} unknown, {outcome.refused} refused",
                flush=True,
            )
        there = rounds.finish()
    finally:
        rounds.end()
    print(
        f"\n{len(outcomes)} rounds in {time.monotonic() - began:.0f} s: {there} writes there, none lost, "
        "none twice; digests, logs and directories equal\n"
    )
    return outcomes


def _tell(outcomes: Sequence[Outcome], seconds_max: float | None) -> bool:
    """Prints the table; whether a failover after a kill took too long."""
    print(f"{'':15} {'rounds':>6}   seconds until another node acknowledges   longest gap")
    for kind in KINDS:
        those = [outcome for outcome in outcomes if outcome.kind == kind]
        if those:
            seconds = [each.failover_seconds for each in those if each.failover_seconds is not None]
            gap = max(each.longest_gap for each in those)
            print(f"{kind:15} {len(those):6}   {_spread(seconds):41} {gap:11.2f}")
    seconds = [
        each.failover_seconds for each in outcomes if each.kind in KILLS and each.failover_seconds is not None
    ]
    if seconds_max is None or not seconds:
        return False
    is_late = max(seconds) > seconds_max
    said = f"more than {seconds_max:g} s" if is_late else f"at most {seconds_max:g} s are promised"
    print(f"\nafter a kill: {_spread(seconds)}; {said}", flush=True)
    return is_late


def _spread(seconds: Sequence[float]) -> str:
    if not seconds:
        return "-"
    return f"min {min(seconds):.2f}  median {statistics.median(seconds):.2f}  max {max(seconds):.2f}"


def _tail(path: Path, lines: int) -> list[str]:
    return path.read_text(errors="replace").splitlines()[-lines:] if path.exists() else []


def _again(arguments: argparse.Namespace) -> str:
    flags = [] if arguments.ttl == 5 else [f"--ttl {arguments.ttl}"]
    if tuple(arguments.kinds) != KINDS:
        flags.append(f"--kinds {' '.join(arguments.kinds)}")
    more = f" FAILOVER_FLAGS='{' '.join(flags)}'" if flags else ""
    return f"make failover SEED={arguments.seed} ROUNDS={arguments.rounds}{more}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make failover", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=None, help="drawn by default")
    parser.add_argument("--ttl", type=int, default=5, help="seconds that a lease lasts")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="only these faults")
    parser.add_argument("--untimed", action="store_true", help="however long a failover takes")
    parser.add_argument("--keep", action="store_true", help="what the nodes left, in any case")
    parser.add_argument("--directory", type=Path, default=None, help="where nodes live  [a temporary one]")
    parser.add_argument(ISOLATED, action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.seed is None:
        arguments.seed = random.SystemRandom().getrandbits(32)
    arguments.directory = arguments.directory or Path(tempfile.gettempdir()) / "replicad-failover"
    arguments.directory.mkdir(parents=True, exist_ok=True)
    return arguments


if __name__ == "__main__":
    run(main)
