"""What the service manager is told: the datagrams of sd_notify(3). Nothing happens without one."""

from __future__ import annotations

import os
import socket

SEND_SECONDS = 0.1


def notify(*assignments: str) -> None:
    """Sends "READY=1", "STOPPING=1", "STATUS=..." and the like. A manager that is gone is not an error, and
    one that reads nothing is not waited for."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
        try:
            # A lost status is nothing; "READY=1" is worth a moment.
            manager.settimeout(0 if assignments[0].startswith("STATUS=") else SEND_SECONDS)
            manager.sendto("\n".join(assignments).encode(), address)
        except OSError:
            pass
