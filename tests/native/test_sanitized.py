"""A slice of `make asan`, `make ubsan` and `make tsan`, where SANITIZERS names them: they compile first."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.native.sanitized import REPOSITORY, RUNTIMES

pytestmark = pytest.mark.long

CHOSEN = os.environ.get("SANITIZERS", "").split()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("sanitizer", RUNTIMES)
def test_nothing_is_reported(sanitizer: str) -> None:
    """The kernels' tests and a few seconds of the stress run without a report."""
    if sanitizer not in CHOSEN:
        pytest.skip(f"SANITIZERS='{' '.join(RUNTIMES)}' compiles the kernels anew and runs it")
    result = subprocess.run(
        [sys.executable, REPOSITORY / "tests" / "native" / "sanitized.py", sanitizer],
        env={**os.environ, "STRESS_SECONDS": "3"},
        capture_output=True,
        text=True,
    )
    print(result.stdout[-3000:])
    assert result.returncode == 0, result.stdout[-8000:] + result.stderr[-8000:]
