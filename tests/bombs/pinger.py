"""Another client: says PING to a port again and again, in a process of its own, and remembers the longest.

Each line on stdin is answered by one line: how long the longest since the last line took, in seconds, one
that is still under way included.
"""

from __future__ import annotations

import socket
import sys
import threading
import time

PAUSE_SECONDS = 0.005
REQUEST, REPLY = b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n"


class Pinger:
    def __init__(self, port: int) -> None:
        self._port = port
        self._lock = threading.Lock()
        self._longest = 0.0
        self._asked_at: float | None = None

    def run(self) -> None:
        with socket.create_connection(("127.0.0.1", self._port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                with self._lock:
                    self._asked_at = time.monotonic()
                connection.sendall(REQUEST)
                if connection.recv(len(REPLY), socket.MSG_WAITALL) != REPLY:
                    raise ConnectionError("the answer to PING is not PONG")
                with self._lock:
                    self._note()
                    self._asked_at = None
                time.sleep(PAUSE_SECONDS)

    def take_longest(self) -> float:
        with self._lock:
            self._note()
            longest, self._longest = self._longest, 0.0
            if self._asked_at is not None:
                self._asked_at = time.monotonic()
        return longest

    def _note(self) -> None:
        if self._asked_at is not None:
            self._longest = max(self._longest, time.monotonic() - self._asked_at)


def main() -> None:
    pinger = Pinger(int(sys.argv[1]))
    threading.Thread(target=pinger.run, daemon=True).start()
    for _ in sys.stdin:
        print(pinger.take_longest(), flush=True)


if __name__ == "__main__":
    main()
