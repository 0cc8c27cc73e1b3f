"""`make soak MINUTES=10`: a cluster under load while an operator works on it, and nothing fails by itself.

Three nodes with TLS and users; writers over TLS. In turn, again and again: a reload, an exchange of
certificates, a restart of each node, a switchover, a backup. Prints a line for each, with memory and open
files of each node. Ends with 1 when a client had an error that nothing injected explains, an acknowledged
write is missing on a node, or memory or open files grow.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import redis

from replicad.cli.demonstration.ports import HOST
from tests.soak.cluster import SoakCluster, SoakNode
from tests.soak.load import Writer
from tests.support.command import run
from tests.support.waiting import eventually

NAMES = ("paris", "lyon", "nantes")
WRITERS = 4
SETTLE_SECONDS = 3.0
"""After what was done to a cluster its clients may still find a node that is away."""
GROWTH_BYTES_MAX = 96 << 20
GROWTH_FILES_MAX = 40


class Soak:
    def __init__(self, cluster: SoakCluster) -> None:
        self.cluster = cluster
        self.injected = threading.Event()
        self.writers = [Writer(cluster, number, self.injected) for number in range(WRITERS)]
        self.turns = 0
        self.first: dict[str, tuple[int, int, int]] = {}
        """Of each node when it was first looked at since its start: starts, memory, open files."""
        self.wrong: list[str] = []

    def run(self, minutes: float) -> None:
        actions: list[tuple[str, Callable[[], None], bool]] = [
            ("reload", self._reload, False),
            ("certificates", self._certificates, False),
            ("backup", self._backup, False),
            ("switchover", self._switchover, True),
            *((f"restart {name}", partial(self._restart, name), True) for name in NAMES),
        ]
        for node in self.cluster.nodes.values():
            self.cluster.start(node)
        for writer in self.writers:
            writer.start()
        deadline = time.monotonic() + minutes * 60
        print(f"{'after':18} {'writes':>9} {'errors':>6}  " + "  ".join(f"{name:>16}" for name in NAMES))
        while time.monotonic() < deadline or self.turns < len(actions):
            name, act, disturbs = actions[self.turns % len(actions)]
            self.turns += 1
            if disturbs:
                self.injected.set()
            act()
            time.sleep(SETTLE_SECONDS)
            self.injected.clear()
            self._tell(name)
            time.sleep(1.0)

    def _tell(self, name: str) -> None:
        errors = sum(sum(writer.errors.values()) for writer in self.writers)
        nodes = [self._look_at(node) for node in self.cluster.nodes.values()]
        writes = sum(writer.count for writer in self.writers)
        print(f"{name:18} {writes:9,} {errors:6}  " + "  ".join(nodes), flush=True)

    def _look_at(self, node: SoakNode) -> str:
        memory, files = node.memory_bytes(), node.descriptors()
        started, first_memory, first_files = self.first.setdefault(node.name, (node.started, memory, files))
        if started != node.started:
            self.first[node.name] = node.started, memory, files
        elif memory - first_memory > GROWTH_BYTES_MAX or files - first_files > GROWTH_FILES_MAX:
            self.wrong.append(
                f"{node.name} grew from {first_memory >> 20} MiB, {first_files} files to "
                f"{memory >> 20} MiB, {files} files"
            )
        return f"{memory >> 20:4} MiB {files:4} fds"

    # What an operator does.

    def _reload(self) -> None:
        nodes = list(self.cluster.nodes.values())
        self.cluster.run("reload", nodes[self.turns % len(nodes)].address)
        nodes[(self.turns + 1) % len(nodes)].process.send_signal(signal.SIGHUP)  # type: ignore[union-attr]

    def _certificates(self) -> None:
        for name in NAMES:
            self.cluster.authority.node(name)

    def _backup(self) -> None:
        self.cluster.run("backup", "create", "--node", self.cluster.primary().address)

    def _switchover(self) -> None:
        self.cluster.run("switchover", self.cluster.primary().address)

    def _restart(self, name: str) -> None:
        node = self.cluster.nodes[name]
        self.cluster.stop(node)
        self.cluster.start(node)

    # The end.

    def judge(self) -> int:
        for writer in self.writers:
            writer.stop()
            self.wrong += [f"{count} times: {text}" for text, count in writer.errors.items()]
        for node in self.cluster.nodes.values():
            eventually(partial(self._has_all, node), seconds=60)
        self.cluster.run("verify", *(node.address for node in self.cluster.nodes.values()))
        for text in self.wrong:
            print(f"WRONG: {text}")
        print(
            f"{self.turns} turns, {sum(writer.count for writer in self.writers):,} writes acknowledged, "
            f"{len(self.wrong)} wrong"
        )
        return 1 if self.wrong else 0

    def _has_all(self, node: SoakNode) -> bool:
        return not self._missing(node)

    def _missing(self, node: SoakNode) -> list[bytes]:
        """Acknowledged writes that the node does not have, nor what was attempted after them."""
        client = redis.Redis(
            host=HOST,
            port=node.port,
            username="app",
            password=self.cluster.token,
            ssl=True,
            ssl_ca_certs=str(self.cluster.authority.ca),
        )
        try:
            return [
                key
                for writer in self.writers
                for key, value in writer.acknowledged.items()
                if not value <= int(client.get(key) or 0) <= writer.attempted[key]
            ]
        except redis.exceptions.RedisError:
            return [b"?"]
        finally:
            client.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="soak-"))
    soak = Soak(SoakCluster.make(directory, NAMES))
    try:
        soak.run(arguments.minutes)
        code = soak.judge()
    finally:
        for node in soak.cluster.nodes.values():
            soak.cluster.stop(node)
    if code == 0:
        shutil.rmtree(directory)
    else:
        print(f"kept: {directory}", file=sys.stderr)
    return code


if __name__ == "__main__":
    run(main)
