"""Network namespaces for tests with real nodes, where the process may have any.

Nodes bind to the loopback only, so places have loopback addresses, routed to bridges instead of to `lo`. All
of it is in namespaces of the process (`isolate`), and so gone with it, however it ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

ISOLATED = "--isolated"
_UNSHARE = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
ROUTES = """
ip link set lo up
echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet
ip route del local 127.0.0.0/8 dev lo table local
ip address del 127.0.0.1/8 dev lo
ip address add 127.0.0.1/32 dev lo
"""
"""What makes the addresses 127.0.1.1 and so on ones like any other."""


def isolate(module: str, arguments: Sequence[str]) -> None:
    """Begins this program again in namespaces of its own, where that is permitted; else returns."""
    if subprocess.run([*_UNSHARE, "true"], capture_output=True, check=False).returncode == 0:
        os.execvp("unshare", [*_UNSHARE, sys.executable, "-m", module, *arguments, ISOLATED])


def begin_namespace() -> tuple[subprocess.Popen[bytes], list[str]]:
    """A process that holds a network namespace, and what a command begins with to run there."""
    holder = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo; exec sleep infinity"], stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    holder.stdout.readline()  # It is in its namespace.
    return holder, ["nsenter", f"--net=/proc/{holder.pid}/ns/net"]


def shell(*lines: str, inside: Sequence[str] = ()) -> None:
    """Raises CalledProcessError."""
    script = "\n".join(("set -e", *lines))
    subprocess.run([*inside, "sh", "-c", script], capture_output=True, text=True, check=True)


def reason_of(error: subprocess.CalledProcessError) -> str:
    return str(error.stderr).strip().splitlines()[-1] if error.stderr else str(error)
