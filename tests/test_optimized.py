"""A slice of the tests under `python -O`, which leaves our asserts out: everything works all the same.

pytest rewrites the asserts of tests, so that those are still made.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

REPOSITORY = Path(__file__).resolve().parent.parent
SLICE = (
    "tests/store/compaction",
    "tests/store/copies/test_checkpoint.py",
    "tests/store/test_database.py",
    "tests/store/test_families.py",
    "tests/store/test_recovery.py",
    "tests/backup/test_engine.py",
    "tests/replication/copy/test_staging.py",
    "tests/replication/test_sessions.py",
    "tests/server/test_strings.py",
)


def test_a_slice_of_the_tests_passes_without_asserts() -> None:
    """Compaction, checkpoints, families, recovery, backups, bootstraps and commands."""
    command = [sys.executable, "-O", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *SLICE]
    ran = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-3000:]
