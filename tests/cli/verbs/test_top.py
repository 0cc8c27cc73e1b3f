"""The live view on a terminal and in a pipe."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from replicad.cli.exits import OK, USAGE

SECONDS_MAX = 60.0
LEAVES_THE_SCREEN = b"\x1b[?1049l"
SHOWS_THE_CURSOR = b"\x1b[?25h"


def test_a_pipe_gets_one_picture(run: Callable[..., tuple[int, str, str]]) -> None:
    """And the program ends, whether the node is there or not."""
    code, out, err = run("top", ":1")
    assert (code, err) == (OK, "")
    assert out.startswith("replicad top  1 node  ")
    assert "CRITICAL  :1: cannot be reached: connection refused" in out
    assert "\x1b" not in out


def test_a_node_that_cannot_be_meant_is_a_wrong_command_line(
    run: Callable[..., tuple[int, str, str]],
) -> None:
    code, out, err = run("top", "nothing")
    assert (code, out, err.count("\n")) == (USAGE, "", 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_the_terminal_is_as_before(number: signal.Signals) -> None:
    """The first screen comes back with its cursor, nothing is said, and the exit code is 0."""
    ours, theirs = pty.openpty()
    program = [sys.executable, "-m", "replicad", "top", ":1"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    with subprocess.Popen(program, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        try:
            shown = _read_until(ours, b"Ctrl-C ends it")
            process.send_signal(number)
            shown += _read_until(ours, None)
        finally:
            process.kill()
            os.close(ours)
    assert process.returncode == OK
    assert b"Traceback" not in shown
    assert shown.rindex(LEAVES_THE_SCREEN) > shown.index(b"Ctrl-C ends it")
    assert shown.rindex(SHOWS_THE_CURSOR) > shown.index(b"Ctrl-C ends it")


def _read_until(terminal: int, wanted: bytes | None) -> bytes:
    """What the terminal shows until `wanted` is there; with None until the program has ended."""
    shown, deadline = b"", time.monotonic() + SECONDS_MAX
    ready = select.poll()  # select takes no number above 1023, and test runs have many files open
    ready.register(terminal)
    while wanted is None or wanted not in shown:
        assert ready.poll(1000 * max(0.0, deadline - time.monotonic())), shown
        try:
            shown += os.read(terminal, 1 << 16)
        except OSError:  # The other side is closed.
            assert wanted is None, shown
            return shown
    return shown
