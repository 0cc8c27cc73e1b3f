"""The demonstration with real processes: it passes, and it leaves nothing behind."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from replicad.cli.demonstration.library import standard_library
from replicad.cli.demonstration.reporter import Reporter
from replicad.cli.demonstration.story import Demonstration

pytestmark = pytest.mark.long

SOME_FILES = 150
SECONDS_MAX = 120


def daemons_of(directory: Path) -> list[str]:
    """The command lines of processes that work in the directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"--data {directory}" in command:
            found.append(command)
    return found


def test_the_demonstration_runs_through_all_its_kills_and_checks(tmp_path: Path) -> None:
    """With a part of the library it runs through all its kills and checks."""
    out = StringIO()
    reporter = Reporter(Console(file=out, width=120))
    demonstration = Demonstration(tmp_path, reporter)
    try:
        table = demonstration.run(standard_library()[:SOME_FILES])
    finally:
        demonstration.abandon()
    reporter.console.print(table)
    text = out.getvalue()
    assert "kill -9 replica-1" in text
    assert "kill -9 primary" in text
    assert "each once" in text
    digests = re.findall(r"(?m) ([0-9a-f]{12}) *$", text)
    assert len(digests) == 3
    assert len(set(digests)) == 1
    assert daemons_of(tmp_path) == []


def test_ctrl_c_ends_the_demonstration_and_its_daemons(tmp_path: Path) -> None:
    """Ctrl-C ends it with 130, and its daemons with it."""
    kept = tmp_path / "kept"
    process = subprocess.Popen(
        [sys.executable, "-m", "replicad", "demo", "--keep", str(kept)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "a primary and a replica run" in line:
                break
        assert len(daemons_of(kept)) == 2
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(SECONDS_MAX) == 130, rest
    finally:
        process.kill()
        process.wait()
    assert daemons_of(kept) == []


def test_the_demonstration_leaves_a_directory_in_use_alone(tmp_path: Path) -> None:
    """A directory that holds something is left alone."""
    (tmp_path / "precious").touch()
    command = [sys.executable, "-m", "replicad", "demo", "--keep", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX)
    assert done.returncode == 2
    assert done.stderr == f"replicad: {tmp_path} is not empty\n"
