"""The program's verbs, as an operator calls them."""

from __future__ import annotations

import subprocess

from replicad.cli.demonstration.processes import PROGRAM, environment
from tests.support.nodes.daemons import Daemon


def begin(*arguments: str) -> subprocess.Popen[str]:
    """The verb's process; what it says, errors included, is its output."""
    return subprocess.Popen(
        [*PROGRAM, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
    )


def address_of(node: Daemon) -> str:
    return f"{node.host}:{node.port}"
