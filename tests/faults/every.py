"""All the plans there are for each script, and how one of them goes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from tests.faults.backup_script import BackupRun
from tests.faults.plan import KINDS, Durability, Duration, Plan
from tests.faults.rejoin_script import RejoinRun
from tests.faults.replica_script import ReplicaRun
from tests.faults.restore_script import RestoreRun
from tests.faults.run import Run, Wrong
from tests.faults.store_script import StoreRun

SCRIPTS: dict[str, type[Run]] = {
    "store": StoreRun,
    "backup": BackupRun,
    "restore": RestoreRun,
    "replica": ReplicaRun,
    "rejoin": RejoinRun,
}


def plans(script: str, every: int = 1, first: int = 0) -> Iterator[Plan]:
    """All of them, or every so many-th, beginning with `first`."""
    number = 0
    for durability in SCRIPTS[script].durabilities:
        for at, call in enumerate(calls(script, durability)):
            for kind in KINDS[call]:
                for duration in get_args(Duration):
                    if number % every == first % every:
                        yield Plan(script, durability, at, kind, duration)
                    number += 1


def calls(script: str, durability: Durability) -> list[str]:
    """What the script calls when nothing fails."""
    run = SCRIPTS[script](None, durability)
    run.play()
    return run.script_calls


def prepare(plan: Plan) -> Run:
    return SCRIPTS[plan.script](plan, plan.durability)


def play(plan: Plan) -> str | None:
    """What is wrong, and where the fault struck; None when all is right."""
    run = prepare(plan)
    try:
        run.play()
    except Wrong as wrong:
        return f"{wrong} (it struck at {run.faults.struck})"
    return None
