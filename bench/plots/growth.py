"""Measures the curves: records, values, replicas and clients grow, one at a time.

A point has rates as a client sees them, and the processor time of the primary, which includes what it does
afterwards in the background: the point waits until the primary has nothing left to do.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bench.daemons.load import VALUE_BYTES, encoded, redis_benchmark
from bench.daemons.nodes import Node, replicad_pair
from bench.plots.extent import Extent
from replicad.cli.demonstration.ports import HOST

Point = dict[str, float]
Curve = list[Point]

PIPELINE = 16
SENT_BYTES_MAX = 4_000_000
"""Of large values before the replies are awaited."""
FILLED_TOGETHER = 500
POOL_BYTES = 1 << 20
STRIDE = 7_368_787
"""A prime: steps of it reach each record once, and in no order that a table has."""
QUIET_SECONDS, QUIET_PROCESSOR_SECONDS = 0.5, 0.05


def records_curve(directory: Path, extent: Extent) -> Curve:
    """One node, filled further and further."""
    curve: Curve = []
    filled = 0
    with replicad_pair(directory, 0, "async") as pair:
        node = pair.primary
        for records in extent.records:
            sets, set_us = _costs(node, records - filled, partial(_fill, node, filled, records))
            gets, get_us = _costs(node, extent.reads, partial(_gets, node, extent.reads, records))
            filled = records
            curve.append(
                {
                    "records": records,
                    "sets_per_second": sets,
                    "set_processor_us": set_us,
                    "gets_per_second": gets,
                    "get_processor_us": get_us,
                    "peak_bytes": node.peak_bytes,
                }
            )
    return curve


def values_curve(directory: Path, extent: Extent) -> Curve:
    """A node for each size of values, which do not compress."""
    curve = []
    for size in extent.value_bytes:
        count = min(extent.values_requests_max, extent.values_total_bytes // size)
        work = directory / f"values-{size}"
        work.mkdir()
        with replicad_pair(work, 0, "async") as pair:
            fill = partial(_fill, pair.primary, 0, count, size)
            sets, us = _costs(pair.primary, count, fill)
        curve.append({"value_bytes": size, "sets_per_second": sets, "set_processor_us": us})
    return curve


def replicas_curve(directory: Path, extent: Extent) -> Curve:
    """A primary with more and more replicas."""
    curve = []
    for replicas in extent.replicas:
        work = directory / f"replicas-{replicas}"
        work.mkdir()
        with replicad_pair(work, replicas, "async") as pair:
            node, count = pair.primary, extent.replicated_requests
            sets, us = _costs(node, count, partial(_sets, node, count, PIPELINE, 50))
        curve.append({"replicas": replicas, "sets_per_second": sets, "set_processor_us": us})
    return curve


def clients_curve(directory: Path, extent: Extent) -> Curve:
    """More and more clients, each of which waits until its write is durable."""
    curve = []
    with replicad_pair(directory, 0, "sync") as pair:
        node = pair.primary
        for clients in extent.clients:
            count = min(extent.synced_requests_max, extent.synced_requests_a_client * clients)
            sets, us = _costs(node, count, partial(_sets, node, count, 1, clients))
            curve.append({"clients": clients, "sets_per_second": sets, "set_processor_us": us})
    return curve


CURVES: dict[str, Callable[[Path, Extent], Curve]] = {
    "records": records_curve,
    "values": values_curve,
    "replicas": replicas_curve,
    "clients": clients_curve,
}


def measure_curve(name: str, directory: Path, extent: Extent) -> list[dict[str, Any]]:
    work = directory / name
    work.mkdir()
    return CURVES[name](work, extent)


def _costs(node: Node, operations: int, run: Callable[[], float]) -> tuple[float, float]:
    """(what `run` says: operations a second, processor µs of each, the background's included)."""
    before = node.processor_seconds
    rate = run()
    spent = node.processor_seconds
    while True:
        time.sleep(QUIET_SECONDS)
        now = node.processor_seconds
        if now - spent < QUIET_PROCESSOR_SECONDS:
            return rate, (now - before) / operations * 1e6
        spent = now


def _sets(node: Node, requests: int, pipeline: int, clients: int) -> float:
    return redis_benchmark(node, ("-t", "set"), requests=requests, pipeline=pipeline, clients=clients)


def _gets(node: Node, requests: int, records: int) -> float:
    command = ("GET", "key:__rand_int__")
    return redis_benchmark(node, command, requests=requests, pipeline=PIPELINE, keys=records)


def _fill(node: Node, first: int, end: int, value_bytes: int = VALUE_BYTES) -> float:
    """Puts the records of these numbers, each once; how many a second. redis-benchmark leaves some out, and
    its values are one letter."""
    count, pool = end - first, os.urandom(value_bytes + POOL_BYTES)
    together = max(1, min(FILLED_TOGETHER, SENT_BYTES_MAX // value_bytes))
    begun = time.perf_counter()
    with socket.create_connection((HOST, node.port)) as connection:
        for begin in range(0, count, together):
            batch = bytearray()
            for at in range(begin, min(begin + together, count)):
                number, place = first + at * STRIDE % count, at * 97 % POOL_BYTES
                batch += encoded(b"SET", b"key:%012d" % number, pool[place : place + value_bytes])
            connection.sendall(batch)
            left = len(b"+OK\r\n") * min(together, count - begin)
            while left > 0:
                data = connection.recv(1 << 16)
                if not data:
                    raise RuntimeError(f"{node.name} closed the connection")
                left -= len(data)
    return count / (time.perf_counter() - begun)
