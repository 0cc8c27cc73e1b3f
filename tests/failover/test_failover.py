"""A slice of `make failover`: some rounds with a seed that is drawn and printed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.failover.judge import check_epochs
from tests.failover.plan import KINDS, draw_plan
from tests.failover.writers import Acknowledgement
from tests.support.etcd.servers import needs_etcd
from tests.support.nodes.daemons import Daemon
from tests.torture.judge import Violation


@pytest.mark.long
@needs_etcd
def test_another_node_leads_when_it_must_and_only_then(tmp_path: Path) -> None:
    """The primary is killed, stopped, ended and cut off from etcd, and all of etcd is away."""
    kinds = ["kill", "stop", "etcd-down", "no-etcd", "end"]
    arguments = ["--rounds", "6", "--ttl", "2", "--untimed", "--directory", str(tmp_path), "--kinds", *kinds]
    result = subprocess.run(
        [sys.executable, "-m", "tests.failover", *arguments], capture_output=True, text=True, timeout=280
    )
    print(result.stdout[-20000:])
    assert result.returncode == 0, result.stderr[-5000:]


def test_a_plan_is_drawn_from_its_seed() -> None:
    """The same seed has the same rounds; where there are enough of them, each kind is among them."""
    for seed in range(50):
        plan = draw_plan(seed, 30)
        assert plan == draw_plan(seed, 30)
        assert len(plan) == 30 and set(plan) == set(KINDS)
        assert len(set(draw_plan(seed, 5))) == 5


ONE, OTHER = "one", "other"


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        ([(ONE, 0, 1, 1), (OTHER, 2, 3, 2)], None),
        ([(ONE, 0, 1, 1), (OTHER, 2, 3, 1)], "one and other acknowledged in epoch 1"),
        ([(OTHER, 2, 3, 2), (ONE, 4, 5, 1)], "one acknowledged 1 in epoch 1 after 2"),
        ([(OTHER, 2, 3, 2), (ONE, 2, 5, 1)], None),
        ([(OTHER, 2, 3, 2), (ONE, 4, 5, None)], None),
    ],
)
def test_the_judge_of_epochs(
    tmp_path: Path, found: list[tuple[str, float, float, int | None]], wrong: str | None
) -> None:
    """An epoch is one node's; an answer that comes late may be of an earlier one, a question may not."""
    nodes = {name: Daemon(tmp_path, "primary", name, {}, listen="127.0.0.1:1") for name in (ONE, OTHER)}
    acknowledgements = [
        Acknowledgement(number, nodes[name], asked_at, at, epoch)
        for number, (name, asked_at, at, epoch) in enumerate(found)
    ]
    if wrong is None:
        check_epochs(acknowledgements)
        return
    with pytest.raises(Violation, match=wrong):
        check_epochs(acknowledgements)
