"""A slice of `make torture`: one round with a seed that is drawn and printed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.torture.plan import NODES, draw_plan


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
