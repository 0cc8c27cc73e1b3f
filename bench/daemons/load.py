"""What is sent to the servers: by redis-benchmark, and by a small pipelined client where that cannot."""

from __future__ import annotations

import csv
import io
import selectors
import socket
import subprocess
import time
from collections.abc import Callable, Sequence

from bench.daemons.nodes import Node
from bench.daemons.row import Figure, Measured
from replicad.cli.demonstration.ports import HOST

CLIENTS = 50
KEYS = 1_000_000
VALUE_BYTES = 100


def redis_benchmark(
    node: Node,
    command: Sequence[str],
    *,
    requests: int,
    pipeline: int,
    clients: int = CLIENTS,
    value_bytes: int = VALUE_BYTES,
    keys: int = KEYS,
) -> float:
    """Requests a second, as redis-benchmark reports them. `command` is ("-t", "set") or a command's words."""
    arguments = ["redis-benchmark", "-h", HOST, "-p", str(node.port), "--csv", "-n", str(requests)]
    arguments += ["-c", str(clients), "-P", str(pipeline), "-r", str(keys), "-d", str(value_bytes)]
    if node.ca_file is not None:
        arguments += ["--tls", "--cacert", str(node.ca_file)]
    done = subprocess.run([*arguments, *command], capture_output=True, text=True)
    if done.returncode or "error" in done.stderr.lower():
        raise RuntimeError(
            f"redis-benchmark {' '.join(command[:2])} at {node.name}: {done.stderr or done.stdout}"
        )
    rows = list(csv.reader(io.StringIO(done.stdout)))
    return float(rows[-1][1])


def loaded(node: Node, run: Callable[[], float], operations: int, scale: float = 1.0) -> Measured:
    """Runs a load; its rate times `scale`, and what the server took for each of the operations."""
    before = node.processor_seconds
    rate = run()
    processor_us = (node.processor_seconds - before) / operations * 1e6
    return {"": Figure(value=rate * scale, processor_us=processor_us, peak_bytes=node.peak_bytes)}


def pipelined(node: Node, requests: Sequence[bytes], reply_bytes: int, *, rounds: int) -> float:
    """A client for each request sends it, waits for that many bytes, sends it again. Requests a second."""
    selector = selectors.DefaultSelector()
    sockets = [socket.create_connection((HOST, node.port)) for _ in requests]
    try:
        for one, request in zip(sockets, requests, strict=True):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(one, selectors.EVENT_READ, [reply_bytes, rounds, request])
        begun = time.perf_counter()
        for one, request in zip(sockets, requests, strict=True):
            one.sendall(request)
        waiting = len(sockets)
        while waiting:
            for key, _ in selector.select():
                assert isinstance(key.fileobj, socket.socket)
                peer, state = key.fileobj, key.data
                data = peer.recv(1 << 18)
                if not data:
                    raise RuntimeError(f"{node.name} closed the connection")
                state[0] -= len(data)
                if state[0] > 0:
                    continue
                assert state[0] == 0, f"{node.name} answered {-state[0]} bytes more than expected"
                state[0], state[1] = reply_bytes, state[1] - 1
                if state[1]:
                    peer.sendall(state[2])
                else:
                    selector.unregister(peer)
                    waiting -= 1
        return rounds * len(requests) / (time.perf_counter() - begun)
    finally:
        selector.close()
        for one in sockets:
            one.close()


def encoded(*words: bytes) -> bytes:
    """A command in RESP."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def ask(connection: socket.socket, *words: bytes) -> bytes:
    """The reply of a command that is answered by one short reply."""
    connection.sendall(encoded(*words))
    return connection.recv(1 << 16)
