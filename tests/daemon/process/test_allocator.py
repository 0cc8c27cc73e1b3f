"""The daemon's malloc keeps the pages of buffers that are made again and again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

ROUNDS = 100
SCRIPT = f"""
import resource
from replicad.daemon.process.allocator import share_one_arena

share_one_arena()
for round in range({ROUNDS} + 1):
    if round == 1:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    buffers = [b"x" * (1 << 20) for _ in range(3)]
    del buffers
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_buffers_of_a_copy_take_their_pages_once() -> None:
    """Three pieces of 1 MiB, made and freed: after the first time the kernel clears no pages for them."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert int(done.stdout) < ROUNDS
