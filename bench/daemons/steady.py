"""`python -m bench.daemons.steady PORT RATE`: writes at a steady rate until it is killed."""

from __future__ import annotations

import socket
import sys
import time

from bench.daemons.load import encoded
from replicad.cli.demonstration.ports import HOST

TICK_SECONDS = 0.002


def main() -> None:
    port, rate = int(sys.argv[1]), int(sys.argv[2])
    count = max(1, round(rate * TICK_SECONDS))
    batches = [
        b"".join(encoded(b"SET", b"key:%012d" % (batch * count + n), b"x" * 100) for n in range(count))
        for batch in range(1000)
    ]
    with socket.create_connection((HOST, port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        due, turn = time.perf_counter(), 0
        while True:
            connection.sendall(batches[turn % len(batches)])
            turn += 1
            left = count * len(b"+OK\r\n")
            while left > 0:
                data = connection.recv(1 << 16)
                if not data:
                    return
                left -= len(data)

            # A server that falls behind is not asked to make up for it: the load is a rate, not an amount.
            due = max(due + TICK_SECONDS, time.perf_counter() - TICK_SECONDS)
            time.sleep(max(0.0, due - time.perf_counter()))


if __name__ == "__main__":
    main()
