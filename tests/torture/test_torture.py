"""A slice of `make torture`: one round with a seed that is drawn and printed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.torture.judge import Violation, check_order
from tests.torture.plan import NODES, draw_plan

pytestmark = pytest.mark.long


def test_nothing_promised_is_broken(tmp_path: Path) -> None:
    """Whatever befalls processes, links and disks, what was acknowledged stays, and all end up equal."""
    arguments = ["--minutes", "0.01", "--chaos-seconds", "8", "--directory", str(tmp_path)]
    result = subprocess.run(
        [sys.executable, "-m", "tests.torture", *arguments], capture_output=True, text=True, timeout=240
    )
    print(result.stdout[-20000:])
    assert result.returncode == 0, result.stderr[-5000:]


def test_a_plan_is_drawn_from_its_seed() -> None:
    """The same seed strikes the same nodes at the same times; only small disks are filled."""
    for seed in range(50):
        plan = draw_plan(seed, 20.0)
        assert plan == draw_plan(seed, 20.0)
        assert all(0 <= strike.at < 20 and 0 <= strike.node < NODES for strike in plan.strikes)
        assert {strike.node for strike in plan.strikes if strike.kind == "fill"} <= {plan.disk_of}


@pytest.mark.parametrize(
    ("numbers", "acknowledged", "wrong"),
    [
        ([0, 1, 2], {0, 1, 2}, None),
        ([0, 2, 1, 3], {0, 2, 3}, None),
        ([0, 2, 1, 3], {0, 1, 2, 3}, "2 stands before 1"),
        ([0, 3, 1], {0, 1}, "3 stands before 1"),
        ([0, 2], {0, 1, 2}, r"lost: \[1\]"),
        ([0, 1, 1], {0}, r"twice: \[1\]"),
    ],
)
def test_the_judge_of_order(numbers: list[int], acknowledged: set[int], wrong: str | None) -> None:
    """What was given up may come late, but never before what had an answer when it was sent."""
    if wrong is None:
        check_order("w", numbers, acknowledged)
        return
    with pytest.raises(Violation, match=wrong):
        check_order("w", numbers, acknowledged)
