"""A slice of `make sim`, and that a seed is the same everywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from tests.sim.scenario import Scenario
from tests.sim.world import play

pytestmark = pytest.mark.long

SEEDS = 24
TAILS = 6
ELECTIONS = 20


def simulate(*arguments: str) -> str:
    """What `make sim` prints, in a process of its own."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.sim", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert result.returncode == 0, result.stdout[-20000:] + result.stderr[-5000:]
    return result.stdout


def test_nothing_promised_is_broken() -> None:
    """Whatever befalls a cluster, histories agree, acknowledged writes stay, and all are equal in the end."""
    print(simulate("--runs", str(SEEDS), "--first", "1000"))


def test_nothing_is_lost_where_etcd_decides_who_leads() -> None:
    """Whatever befalls the nodes, etcd, and the way there: one leads at a time, and has all that was
    acknowledged."""
    print(simulate("--failover", "--runs", str(ELECTIONS), "--first", "1000"))


@pytest.mark.parametrize("mishap", ["tail-given-back", "tail-lost"])
def test_what_a_primary_lost_with_its_power_is_given_back_or_an_epoch_begins(mishap: str) -> None:
    """Whoever has more of the epoch gives it back, and nothing is lost that was durable anywhere. Where
    nobody answers, what the others have more is saved and cut off there."""

    def change(scenario: Scenario) -> Scenario:
        store = replace(scenario.store, durability="async")
        link = replace(scenario.link, synchronous="")
        return replace(scenario, promise="async", faults=(mishap,), store=store, link=link)

    outcomes = [play(seed, keep_trace=True, change=change) for seed in range(TAILS)]
    for outcome in outcomes:
        assert outcome.failure is None, f"seed {outcome.seed}: {outcome.failure}"
    traces = "".join(outcome.trace for outcome in outcomes)
    assert "role.epoch_after_loss" in traces
    if mishap == "tail-given-back":
        assert "role.tail_given_back" in traces
    else:
        assert "replication.discarded" in traces


def test_a_seed_is_the_same_in_every_process() -> None:
    """Two processes see the same events, down to the bytes of every message, at the same virtual moments."""
    assert simulate("--seed", "7") == simulate("--seed", "7")


def test_different_seeds_are_different() -> None:
    """The seed decides, and nothing else does."""
    assert simulate("--seed", "7").splitlines()[-1] != simulate("--seed", "8").splitlines()[-1]
