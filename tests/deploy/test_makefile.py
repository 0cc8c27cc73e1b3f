"""The Makefile tells what it can do."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def test_help_is_complete() -> None:
    """`make` alone lists every target with a line that says what it does."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    done = subprocess.run(["make"], cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=True)
    listed = dict(re.findall(r"(?m)^  make (\S+) +(\S.*)$", done.stdout))
    (phony,) = re.findall(r"(?m)^\.PHONY: (.*)$", (REPOSITORY / "Makefile").read_text())
    assert set(listed) == set(phony.split())
