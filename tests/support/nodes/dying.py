"""Runs the program, and dies by kill -9 at a step of a switchover: python dying.py STEP … -m replicad …"""

from __future__ import annotations

import os
import signal
import sys


def main() -> int:
    step = sys.argv[1]
    arguments = sys.argv[sys.argv.index("replicad") + 1 :]
    import replicad.daemon.roles.switchover
    import replicad.daemon.roles.takeover
    from replicad.cli.main import main as run

    def reached(here: str) -> None:
        if here == step:
            os.kill(os.getpid(), signal.SIGKILL)

    for module in (replicad.daemon.roles.switchover, replicad.daemon.roles.takeover):
        vars(module)["reached"] = reached
    return run(arguments)


sys.exit(main())
