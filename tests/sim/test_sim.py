"""A slice of `make sim`, and that a seed is the same everywhere."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.long

SEEDS = 24


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


def test_a_seed_is_the_same_in_every_process() -> None:
    """Two processes see the same events, down to the bytes of every message, at the same virtual moments."""
    assert simulate("--seed", "7") == simulate("--seed", "7")


def test_different_seeds_are_different() -> None:
    """The seed decides, and nothing else does."""
    assert simulate("--seed", "7").splitlines()[-1] != simulate("--seed", "8").splitlines()[-1]
