"""Ports of the loopback for nodes that start later, and start again: nobody else is given one meanwhile."""

from __future__ import annotations

import os
import random
import socket
import threading

HOST = "127.0.0.1"

PORTS = range(12000, 30000)
"""Below the ports that systems give to outgoing connections, one of which could take ours meanwhile."""

BLOCK = 50
"""How many ports are reserved together: a file that is open for each would be too many in a long test run."""


class Ports:
    """The ports of `among` that this process may give out. For any thread."""

    def __init__(self, among: range = PORTS) -> None:
        self._among = among
        self._lock = threading.Lock()
        self._blocks: list[tuple[range, socket.socket]] = []
        self._next: list[int] = []

    def take(self, count: int) -> list[int]:
        found: list[int] = []
        with self._lock:
            for _ in self._among:
                if len(found) == count:
                    break
                if not self._next:
                    self._next = list(self._block())
                port = self._next.pop(0)
                if _is_free(port):
                    found.append(port)
        return found

    def _block(self) -> range:
        """A block that nobody has; when there is none, the one that this process took first, or any."""
        starts = random.SystemRandom().sample(self._among[::BLOCK], len(self._among) // BLOCK)
        for start in starts:
            # An abstract name ends with its process, however that ends, and belongs to the network namespace,
            # as the ports do (unix(7)).
            mark = socket.socket(socket.AF_UNIX)
            try:
                mark.bind(f"\0replicad-ports-{start}")
            except OSError:
                mark.close()
                continue
            self._blocks.append((range(start, start + BLOCK), mark))
            return self._blocks[-1][0]
        if not self._blocks:
            return range(starts[0], starts[0] + BLOCK)
        self._blocks.append(self._blocks.pop(0))
        return self._blocks[-1][0]


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses, all different.

    Two programs that only look whether a port is free may choose the same one, as each binds it later. So
    this process reserves blocks of ports for as long as it lives, and others that ask here are given others.
    A port is given again when there is none that nobody was given.
    """
    return _ports.take(count)


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        try:
            one.bind((HOST, port))
        except OSError:
            return False
    return True


_ports = Ports()


def _begin_again() -> None:
    """In a child that was forked: it has no right to the blocks of its parent."""
    global _ports
    _ports = Ports()


os.register_at_fork(after_in_child=_begin_again)
