"""All the plans there are for the script, and how one of them goes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from tests.faults.plan import KINDS, Duration, Plan
from tests.faults.run import Run, Wrong


def plans(every: int = 1, first: int = 0) -> Iterator[Plan]:
    """All of them, or every so many-th, beginning with `first`."""
    number = 0
    for durability in ("sync", "async"):
        run = Run(None, durability)
        run.play()
        for at, call in enumerate(run.script_calls):
            for kind in KINDS[call]:
                for duration in get_args(Duration):
                    if number % every == first % every:
                        yield Plan(at, kind, duration, durability)
                    number += 1


def play(plan: Plan) -> str | None:
    """What is wrong, and where the fault struck; None when all is right."""
    run = Run(plan, plan.durability)
    try:
        run.play()
    except Wrong as wrong:
        return f"{wrong} (it struck at {run.faults.struck})"
    return None
