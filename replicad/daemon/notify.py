"""What the service manager is told: the datagrams of sd_notify(3). Nothing happens without one."""

from __future__ import annotations

import os
import socket


def notify(*assignments: str) -> None:
    """Sends "READY=1", "STOPPING=1", "STATUS=..." and the like; a manager that is gone is no error."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
        try:
            manager.sendto("\n".join(assignments).encode(), address)
        except OSError:
            pass
