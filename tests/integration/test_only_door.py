"""What the kernel was asked, beside what `env` was asked: there is no other way to the disk."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

KINDS = {
    "openat": "open",
    "open": "open",
    "write": "write",
    "pwrite64": "write",
    "fdatasync": "sync",
    "fsync": "sync",
    "ftruncate": "truncate",
    "unlink": "unlink",
    "unlinkat": "unlink",
    "rename": "rename",
    "renameat": "rename",
    "renameat2": "rename",
    "link": "link",
    "linkat": "link",
}
"""Whatever can change a file, or open one. A mapping needs an open before."""
CALL = re.compile(r"\d+\s+(\w+)\((.*)")


def asked(trace: str, directory: Path) -> Counter[str]:
    """Calls by kind and path, of what lies in the directory; not the opening of directories to list them."""
    found: Counter[str] = Counter()
    for line in trace.splitlines():
        if (match := CALL.match(line)) is None or match[1] not in KINDS or "O_DIRECTORY" in line:
            continue
        paths = re.findall(r'"([^"]*)"', match[2]) or re.findall(r"^\d+<([^>]*)>", match[2])
        if match[1] in ("write", "pwrite64"):
            paths = re.findall(r"^\d+<([^>]*)>", match[2])
        if paths and paths[-1].startswith(f"{directory}/"):
            found[f"{KINDS[match[1]]} {paths[-1]}"] += 1
    return found


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_nothing_bypasses_env(tmp_path: Path) -> None:
    """Every call that opens or changes a file of a database, a checkpoint or a backup was asked of `env`."""
    trace, calls, directory = tmp_path / "trace", tmp_path / "calls", tmp_path / "data"
    directory.mkdir()
    wanted = f"trace={','.join(KINDS)}"
    command = [sys.executable, "-m", "tests.support.files.recorded_life", str(directory), str(calls)]
    subprocess.run(
        ["strace", "-f", "-y", "-s", "8", "-o", str(trace), "-e", wanted, *command], check=True, timeout=120
    )
    expected = Counter(line for line in calls.read_text().splitlines() if f" {directory}/" in line)
    found = asked(trace.read_text(errors="replace"), directory)
    print(f"{found.total()} calls")
    assert found.total() > 200
    assert found == expected
