"""What the system lets this process have open."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

ASK = "import resource; from replicad.env import raise_descriptor_limit as raise_it; print(raise_it(), {})"
SOFT = "resource.getrlimit(resource.RLIMIT_NOFILE)[0]"


@pytest.mark.parametrize(("soft", "hard"), [(64, 200), (200, 200)])
def test_the_soft_limit_becomes_the_hard_one(soft: int, hard: int) -> None:
    asked = subprocess.run(
        ["prlimit", f"--nofile={soft}:{hard}", sys.executable, "-c", ASK.format(SOFT)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert asked.stdout.split() == [str(hard)] * 2
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] != hard, "of this process nothing changed"
