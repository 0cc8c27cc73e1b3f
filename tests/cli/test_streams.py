"""Standard streams that are closed, full, or without a reader."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = f"{sys.executable} -m replicad"
UNBUFFERED = pytest.mark.parametrize("environment", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["", "unbuffered"])


def shell(line: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """The line, with what it says of itself; PROGRAM is the program."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, timeout=60, env=kept | environment
    )


@UNBUFFERED
@pytest.mark.parametrize("verb", ["--help", "--version", "status {}", "updates {} --since 1", "digest {}"])
def test_a_full_disk_under_stdout_is_told_in_a_line(
    verb: str, environment: dict[str, str], filled: Path
) -> None:
    """And is a failure."""
    done = shell(f"{PROGRAM} {verb.format(filled)} > /dev/full", environment)
    assert (done.returncode, done.stderr) == (
        1,
        "replicad: cannot write to stdout: No space left on device\n",
    )


@UNBUFFERED
@pytest.mark.parametrize("verb", ["--help", "status {}", "updates {} --since 1", "status --json {}"])
def test_a_reader_that_reads_nothing_ends_the_program_quietly(
    verb: str, environment: dict[str, str], filled: Path
) -> None:
    """It has seen enough, so that is a success."""
    line = f"set -o pipefail; {PROGRAM} {verb.format(filled)} | true"
    done = shell(line, environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("--help >&-", 0, ""),
        ("digest {} >&-", 0, ""),
        ("digest {} <&- >&- 2>&-", 0, ""),
        ("status :1 >&-", 3, "replicad: 127.0.0.1:1: connection refused\n"),
        ("digest :1 2>&-", 3, ""),
        ("digest :1 2>/dev/full", 3, ""),
        ("backup list {}/nothing >/dev/full 2>/dev/full", 1, ""),
    ],
)
def test_closed_streams_change_no_exit_code(line: str, code: int, said: str, filled: Path) -> None:
    """Nobody wants to read what is said, or why it failed."""
    done = shell(f"{PROGRAM} {line.format(filled)}", {})
    assert (done.returncode, done.stdout, done.stderr) == (code, "", said)


def test_a_small_encoding_gets_escapes(tmp_path: Path) -> None:
    """What stdout cannot say, nor any encoding, is escaped; JSON stays JSON."""
    name = os.fsdecode(b"n\xff\xc3\xa9")
    (tmp_path / name).mkdir()
    code = (
        "import sys; from replicad.cli import streams, output; streams.prepare();"
        "print(sys.argv[1]); output.print_json([sys.argv[1]])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, name],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )
    assert done.stdout.splitlines() == ["n\\udcff\\xe9", '["n\\udcff\\u00e9"]']
