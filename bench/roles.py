"""How long writes pause when roles change: by a switchover, and by a promotion after the primary's death.

One client writes all the while, at whichever node takes its writes. A pause is the time between the last
write that the old primary answered, or the command for a primary that is dead, and the first that the new
one answered. Beside it is what an append and its fdatasync take on the same disk in the same run.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import tempfile
import threading
import time
from pathlib import Path

import redis

from replicad.cli.demonstration.ports import HOST, free_ports
from replicad.cli.demonstration.processes import Daemon
from replicad.errors import ReplicadError

CHANGES = 10
WRITES_BEFORE = 200
SECONDS_MAX = 30.0


def show_role_changes(directory: Path) -> None:
    print(f"\nwrites pause while roles change, {CHANGES} times")
    work = Path(tempfile.mkdtemp(dir=directory))
    fdatasync_ms = 1000 * fdatasync_seconds(work)
    print(f"  fdatasync of a small append: median {fdatasync_ms:.2f} ms; 20 of them and 100 ms: ", end="")
    print(f"{20 * fdatasync_ms + 100:.0f} ms")
    for name, measure in (("switchover", _switchovers), ("promotion by command", _promotions)):
        pauses = [1000 * seconds for seconds in measure(work)]
        print(f"  {name}: median {statistics.median(pauses):.1f} ms, most {max(pauses):.1f} ms")
    shutil.rmtree(work)


def fdatasync_seconds(directory: Path) -> float:
    took = []
    with open(directory / "probe", "wb", buffering=0) as file:
        for _ in range(100):
            file.write(b"x" * 100)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.median(took)


def _switchovers(work: Path) -> list[float]:
    """There and back while a client writes: the longest time between two answers in each."""
    pauses = []
    nodes = _pair(work, "switchover")
    with contextlib.ExitStack() as stack:
        for node in nodes:
            stack.callback(node.abandon)
        writer = _Writer(nodes)
        stack.callback(writer.end)
        for _ in range(CHANGES):
            writer.advance()
            writer.longest_seconds = 0.0
            with _client(nodes[0]) as client:
                client.execute_command("REPLICAD.SWITCHOVER", "TIMEOUT", "10000")
            writer.advance()
            pauses.append(writer.longest_seconds)
            nodes.reverse()
            _until_streaming(nodes)
    return pauses


def _promotions(work: Path) -> list[float]:
    """A primary that is killed, its replica that is promoted: from the command to the first write."""
    pauses = []
    for number in range(CHANGES):
        nodes = _pair(work, f"promotion-{number}")
        with contextlib.ExitStack() as stack:
            stack.callback(nodes[1].abandon)
            with _client(nodes[0]) as client:
                for count in range(WRITES_BEFORE):
                    client.set(f"key:{count}", count)
                client.execute_command("WAIT", 1, 10_000)
            nodes[0].kill()
            with _client(nodes[1]) as client:
                began = time.monotonic()
                client.execute_command("REPLICAD.PROMOTE")
                client.set("first", 1)
                pauses.append(time.monotonic() - began)
    return pauses


class _Writer(threading.Thread):
    """One write after another, at the node that takes them."""

    def __init__(self, nodes: list[Daemon]) -> None:
        super().__init__(daemon=True)
        self.longest_seconds = 0.0
        self.written = 0
        self._clients = [_client(node) for node in nodes]
        self._ending = threading.Event()
        self.start()

    def run(self) -> None:
        at, answered = 0, time.monotonic()
        while not self._ending.is_set():
            try:
                self._clients[at].set("key", self.written)
            except redis.RedisError:
                at = 1 - at
                continue
            now = time.monotonic()
            self.longest_seconds = max(self.longest_seconds, now - answered)
            answered = now
            self.written += 1

    def advance(self) -> None:
        wanted = self.written + WRITES_BEFORE
        _until(lambda: self.written >= wanted)

    def end(self) -> None:
        self._ending.set()
        self.join()


def _pair(work: Path, name: str) -> list[Daemon]:
    """A primary and a replica that streams from it."""
    clients, feed, follower, feed_of_follower = free_ports(4)
    directory = work / name
    directory.mkdir()
    primary = Daemon("primary", "primary", directory, ["--replication", f"{HOST}:{feed}"], clients)
    arguments = ["--primary", f"{HOST}:{feed}", "--replication", f"{HOST}:{feed_of_follower}"]
    replica = Daemon("replica", "replica", directory, arguments, follower)
    primary.start()
    replica.start()
    nodes = [primary, replica]
    _until_streaming(nodes)
    return nodes


def _until_streaming(nodes: list[Daemon]) -> None:
    def streams() -> bool:
        try:
            return bool(nodes[1].status()["link"]["state"] == "streaming")
        except (ReplicadError, KeyError, OSError):
            return False

    _until(streams)


def _client(node: Daemon) -> redis.Redis:
    return redis.Redis(port=node.port, socket_timeout=SECONDS_MAX, retry=None)


def _until(condition) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + SECONDS_MAX
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the nodes did not get ready")
        time.sleep(0.005)
