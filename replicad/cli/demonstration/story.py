"""The demonstration from the first start to the table."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from replicad.cli.demonstration.library import SourceFile
from replicad.cli.demonstration.ports import HOST, free_ports
from replicad.cli.demonstration.processes import POLL_SECONDS, Daemon
from replicad.cli.demonstration.proof import check_annotations, check_files, check_transactions
from replicad.cli.demonstration.reporter import Reporter
from replicad.cli.demonstration.transactions import TransactionStream
from replicad.cli.nodes.comparison import compare_nodes
from replicad.errors import DemoError
from replicad.units import show_count, show_seconds, show_size

TRANSACTIONS_PER_STEP = 300
"""This many transactions pass before each kill, while a node is down, and after it is back."""
BOOTSTRAP_SECONDS_MAX = 120.0
CATCH_UP_SECONDS_MAX = 60.0


@dataclass(slots=True)
class Bootstrap:
    """What the second replica fetched when it joined."""

    size_bytes: int
    seconds: float


class Demonstration:
    """Three daemons in one directory, and what is done with them."""

    def __init__(self, directory: Path, reporter: Reporter) -> None:
        ports = free_ports(4)
        feed = f"{HOST}:{ports[3]}"
        self.primary = Daemon("primary", "primary", directory, ["--replication", feed], ports[0])
        self.replicas = [
            Daemon(f"replica-{number}", "replica", directory, ["--primary", feed], ports[number])
            for number in (1, 2)
        ]
        self.daemons = [self.primary, *self.replicas]
        self._reporter = reporter
        self._bootstrap = Bootstrap(0, 0.0)

    def run(self, files: list[SourceFile]) -> Table:
        """Everything, in order; raises DemoError (or what went wrong) at the first thing that must not be."""
        say = self._reporter.say
        first, second = self.replicas
        say(f"the input is Python's standard library: {show_count(len(files), 'file')}")
        self.primary.start()
        first.start()
        say("a primary and a replica run")
        self._load(files)
        self._join(second)
        since, count = self._transactions(first)
        table = self._compare(files, since, count)
        for daemon in reversed(self.daemons):
            daemon.stop()
        say("all daemons ended cleanly on SIGTERM")
        return table

    def abandon(self) -> None:
        """Ends every process that still runs."""
        for daemon in self.daemons:
            daemon.abandon()

    def _load(self, files: list[SourceFile]) -> None:
        total = sum(file.size_bytes for file in files)
        title = f"load {show_count(len(files), 'file')}"
        with (
            contextlib.closing(self.primary.node()) as node,
            self._reporter.stage(title, total, size=True) as stage,
        ):
            replies = node.client.pipeline(("SET", file.key, file.path.read_bytes()) for file in files)
            for file, reply in zip(files, replies, strict=True):
                if reply != b"OK":
                    raise DemoError(f"SET {file.key!r}: {reply}")
                stage.advance(file.size_bytes)

    def _join(self, replica: Daemon) -> None:
        """Starts a replica after the load and watches its bootstrap."""
        target = self.primary.sequence()
        assert target is not None
        begun = time.monotonic()
        replica.start()
        with self._reporter.stage(f"{replica.name} bootstraps", 0, size=True) as stage:
            while (reached := replica.sequence()) is None or reached < target:
                bootstrap = replica.status().get("bootstrap") or {}
                if bootstrap.get("size_bytes_total"):
                    stage.update(bootstrap["size_bytes"], bootstrap["size_bytes_total"])
                if time.monotonic() - begun > BOOTSTRAP_SECONDS_MAX:
                    raise DemoError(f"{replica.name} did not finish its bootstrap")
                time.sleep(POLL_SECONDS)
            self._bootstrap = _finished_bootstrap(replica.status(), time.monotonic() - begun)
            stage.update(self._bootstrap.size_bytes, self._bootstrap.size_bytes)

    def _transactions(self, replica: Daemon) -> tuple[int, int]:
        """The stream with both kills in it: (where it began in the log, how many transactions)."""
        say = self._reporter.say
        before = self.primary.sequence()
        assert before is not None
        stream = TransactionStream(self.primary.port)
        stream.start()
        try:
            for daemon in (replica, self.primary):
                stream.wait_for(stream.acknowledged + TRANSACTIONS_PER_STEP)
                daemon.kill()
                say(f"kill -9 {daemon.name}, after {stream.acknowledged} annotated transactions")
                if daemon is replica:
                    stream.wait_for(stream.acknowledged + TRANSACTIONS_PER_STEP)
                begun = time.monotonic()
                daemon.start()
                say(f"{daemon.name} is back after {show_seconds(time.monotonic() - begun)}")
            stream.wait_for(stream.acknowledged + TRANSACTIONS_PER_STEP)
        finally:
            count = stream.stop()
        again = f", {stream.asked_again} of them with a lost answer" if stream.asked_again else ""
        say(f"{count} transactions were acknowledged{again}; reconnected {stream.reconnects} times")
        return before + 1, count

    def _compare(self, files: list[SourceFile], since: int, count: int) -> Table:
        say = self._reporter.say
        with contextlib.ExitStack() as stack:
            nodes = [stack.enter_context(contextlib.closing(daemon.node())) for daemon in self.daemons]
            target = self.primary.sequence()
            assert target is not None
            for daemon in self.replicas:
                daemon.wait_for_sequence(target, CATCH_UP_SECONDS_MAX)
            compared = compare_nodes(nodes, CATCH_UP_SECONDS_MAX)
            if not compared.equal:
                raise DemoError(f"the nodes differ at {compared.sequence}: {compared.differences[0]}")
            say(f"all three nodes hold the same data at sequence number {compared.sequence}")
            total = sum(file.size_bytes for file in files)
            title = f"read {show_count(len(files), 'file')} from {self.replicas[1].name}"
            with self._reporter.stage(title, total, size=True) as stage:
                check_files(nodes[2], files, stage)
            for node in nodes:
                check_transactions(node, count)
            say("every acknowledged transaction is on every node, once")
            check_annotations(self.replicas[0], since, count)
            say(f"`replicad updates` shows the {count} annotations in order, each once")
            digests = [node.digest()[1] for node in nodes]
            return self._table([node.status() for node in nodes], digests)

    def _table(self, documents: list[dict[str, Any]], digests: list[str]) -> Table:
        table = Table(box=box.SIMPLE_HEAD)
        for heading in ("node", "role", "position", "lag", "bootstrapped", "digest"):
            table.add_column(heading, overflow="fold")
        newest = _sequence(documents[0])
        for daemon, document, digest in zip(self.daemons, documents, digests, strict=True):
            fetched = "-"
            if daemon is self.replicas[1]:
                rate = self._bootstrap.size_bytes / max(self._bootstrap.seconds, 1e-6)
                fetched = f"{show_size(self._bootstrap.size_bytes)} at {show_size(rate)}/s"
            lag = str(newest - _sequence(document))
            row = (daemon.name, daemon.role, str(document["position"]), lag, fetched, digest[:12])
            table.add_row(*row)
        return table


def _sequence(document: dict[str, Any]) -> int:
    return int(str(document["position"]).split(":")[1])


def _finished_bootstrap(document: dict[str, Any], seconds: float) -> Bootstrap:
    """From the node's own account of its last bootstrap."""
    last = document.get("last_bootstrap")
    if not last:
        raise DemoError("the replica caught up without a bootstrap")
    return Bootstrap(int(last["size_bytes"]), float(last.get("seconds") or seconds))
