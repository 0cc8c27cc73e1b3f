"""The event loop of a daemon, and its threads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import asyncio, sys, threading
from pathlib import Path
from replicad.daemon.config import load_primary
from replicad.daemon.process.supervise import run_node

async def node(config, env, stop):
    def hands_on():
        return env.runner.apart(threading.get_ident) != threading.get_ident()

    print(hands_on(), await asyncio.to_thread(hands_on))

run_node(node, "primary", load_primary(None, data=Path(sys.argv[1])))
"""


def test_neither_the_loop_nor_its_threads_hand_work_on(tmp_path: Path) -> None:
    """No signal's handler raises there, so what must not be split needs no thread of its own."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == ["False", "False"], done.stderr
