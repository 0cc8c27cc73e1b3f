"""A TCP proxy that breaks what passes through it: cuts after so many bytes, goes silent, and counts."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

from replicad.cli.demonstration.ports import HOST, free_ports

CHUNK_BYTES = 1 << 16


class Proxy:
    """Listens on `port` and connects each client on to `target`.

    `cut_after`, when set, ends all connections once so many more bytes came from the target. `silent` makes
    it swallow everything both ways, ends of connections too: a half-open link. Threads, all daemons.
    """

    def __init__(self, target: int) -> None:
        (self.port,) = free_ports(1)
        self._target = target
        self._lock = threading.Lock()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self.connections = 0
        self.from_target_bytes = 0
        self.cuts = 0
        self.cut_after: int | None = None
        self.silent = False
        self._listener = socket.create_server((HOST, self.port), backlog=64)
        self._start(self._accept)

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Ends every connection now."""
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            _end(*pair)

    def _start(self, function: Callable[..., None], *arguments: object) -> None:
        threading.Thread(target=function, args=arguments, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                target = socket.create_connection((HOST, self._target), timeout=5)
                target.settimeout(None)
            except OSError:
                client.close()
                continue
            self.connections += 1
            with self._lock:
                self._pairs.add((client, target))
            self._start(self._pump, client, target, False)
            self._start(self._pump, target, client, True)

    def _pump(self, source: socket.socket, sink: socket.socket, from_target: bool) -> None:
        try:
            while data := source.recv(CHUNK_BYTES):
                if self.silent:
                    continue
                cut = False
                if from_target:
                    data, cut = self._count(data)
                sink.sendall(data)
                if cut:
                    self.cut()
                    return
        except OSError:
            pass
        finally:
            if not self.silent:
                _end(source, sink)

    def _count(self, data: bytes) -> tuple[bytes, bool]:
        with self._lock:
            left = self.cut_after
            if left is None or left > len(data):
                self.from_target_bytes += len(data)
                self.cut_after = None if left is None else left - len(data)
                return data, False
            self.cut_after = None
            self.cuts += 1
            self.from_target_bytes += left
            return data[:left], True


def _end(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
