"""A connection that blocks, for the command line."""

from __future__ import annotations

import socket


def connect(host: str, port: int, timeout_seconds: float | None) -> socket.socket:
    """Raises OSError. A host that begins with / is the path of a Unix socket."""
    if host.startswith("/"):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout_seconds)
        try:
            connection.connect(host)
        except BaseException:
            connection.close()
            raise
        return connection
    connection = socket.create_connection((host, port), timeout=timeout_seconds)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection
