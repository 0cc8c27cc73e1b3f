"""Acknowledged → readable: how long after its +OK a write can be read on the replica, idle and loaded."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.daemons.load import ask
from bench.daemons.nodes import Pair, redis_pair, replicad_pair
from bench.daemons.row import Figure, Group, Limit, Measured, Row
from bench.latency import percentile
from replicad.cli.demonstration.ports import HOST

WRITES = 1000
PAUSE_SECONDS = 0.001
BACKGROUND_RATE = 20_000
PERCENTS = {"p50": 50.0, "p99": 99.0}
LIMITS = {
    "idle": {"p50": Limit(at_most=0.3), "p99": Limit(at_most=1.5)},
    "loaded": {"p99": Limit(at_most=5.0)},
}
NAMES = tuple(f"readable on the replica, {mode}, {when}" for mode in ("async", "sync") for when in LIMITS)


def lag(pair: Pair, background_rate: int) -> Measured:
    """Milliseconds from the acknowledgement to the first read on the replica that sees the write."""
    with contextlib.ExitStack() as stack:
        primary = stack.enter_context(socket.create_connection((HOST, pair.primary.port)))
        replica = stack.enter_context(socket.create_connection((HOST, pair.replicas[0].port)))
        for one in (primary, replica):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if background_rate:
            command = [
                sys.executable,
                "-m",
                "bench.daemons.steady",
                str(pair.primary.port),
                str(background_rate),
            ]
            load = subprocess.Popen(command, start_new_session=True)
            stack.callback(load.wait)
            stack.callback(load.kill)
            time.sleep(1.0)  # it has its pace

        taken: list[int] = []
        for number in range(WRITES):
            value = b"%09d" % number
            assert ask(primary, b"SET", b"lag", value) == b"+OK\r\n"
            acknowledged = time.perf_counter_ns()
            while value not in ask(replica, b"GET", b"lag"):
                pass
            taken.append(time.perf_counter_ns() - acknowledged)
            time.sleep(PAUSE_SECONDS)
    taken.sort()
    return {name: Figure(value=percentile(taken, percent) / 1e6) for name, percent in PERCENTS.items()}


@contextlib.contextmanager
def _rows(directory: Path, mode: str) -> Iterator[list[Row]]:
    fsync = {"async": "everysec", "sync": "always"}[mode]
    with replicad_pair(directory, 1, mode) as ours, redis_pair(directory, 1, fsync) as theirs:
        yield [
            Row(
                name=f"readable on the replica, {mode}, {when}",
                unit="ms",
                ours=partial(lag, ours, 0 if when == "idle" else BACKGROUND_RATE),
                theirs=partial(lag, theirs, 0 if when == "idle" else BACKGROUND_RATE),
                peer=f"redis {fsync}",
                less_is_better=True,
                limits=limits if mode == "async" else {},
            )
            for when, limits in LIMITS.items()
        ]


GROUPS = [
    Group(
        names=tuple(name for name in NAMES if f", {mode}," in name),
        needs=("redis-server",),
        open=partial(_rows, mode=mode),
    )
    for mode in ("async", "sync")
]
