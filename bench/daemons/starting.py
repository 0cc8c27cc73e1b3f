"""From kill -9 to the first +PONG, and how long the short commands take."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.daemons.copies import fill
from bench.daemons.load import redis_benchmark
from bench.daemons.nodes import Node, replicad_primary
from bench.daemons.row import Figure, Group, Limit, Measured, Row
from replicad.cli.demonstration.ports import HOST
from replicad.cli.demonstration.processes import PROGRAM, environment

PING = "kill -9 to PING"
COMMANDS = ("replicad status", "replicad --help")
WRITES = 50_000


def _killed(node: Node) -> Measured:
    """Seconds; the log holds writes that no table has yet."""
    redis_benchmark(node, ("-t", "set"), requests=WRITES, pipeline=16)
    node.kill()
    begun = time.perf_counter()
    node.start()
    seconds = time.perf_counter() - begun
    return {"": Figure(value=seconds, processor_us=node.processor_seconds * 1e6, peak_bytes=node.peak_bytes)}


def _command(*arguments: str) -> Measured:
    before, begun = os.times(), time.perf_counter()
    subprocess.run([*PROGRAM, *arguments], check=True, stdout=subprocess.DEVNULL, env=environment())
    seconds, after = time.perf_counter() - begun, os.times()
    return {"": Figure(value=seconds, processor_us=(sum(after[2:4]) - sum(before[2:4])) * 1e6)}


@contextlib.contextmanager
def _rows(directory: Path, size_bytes: int) -> Iterator[list[Row]]:
    node, _ = replicad_primary(directory, "primary")
    fill(directory / "primary", size_bytes)
    try:
        node.start()
        short = Limit(at_most=0.3)
        yield [
            Row(name=PING, unit="s", ours=partial(_killed, node), limits={"": Limit(at_most=0.7)}),
            Row(
                name=COMMANDS[0],
                unit="s",
                ours=partial(_command, "status", f"{HOST}:{node.port}"),
                limits={"": short},
            ),
            Row(name=COMMANDS[1], unit="s", ours=partial(_command, "--help"), limits={"": short}),
        ]
    finally:
        node.end()


def groups(size_bytes: int) -> list[Group]:
    return [
        Group(names=(PING, *COMMANDS), needs=("redis-benchmark",), open=partial(_rows, size_bytes=size_bytes))
    ]
