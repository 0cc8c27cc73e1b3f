"""Rows of commands: replicad and Redis with one replica each, and replicad beside itself with more."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.daemons.load import CLIENTS, KEYS, encoded, loaded, pipelined, redis_benchmark
from bench.daemons.nodes import Node, redis_pair, replicad_pair
from bench.daemons.row import Group, Limit, Measured, Row

NEEDS = ("redis-server", "redis-benchmark")
VALUE = "x" * 100
RATES = {1: 100_000, 16: 600_000, 64: 1_000_000}
"""Requests of a measurement by pipeline: a few seconds."""
SETS = {1: 0.95, 16: 1.5, 64: 2.0}
GETS = {1: 1.0, 16: 1.5, 64: 1.3}
BATCH_RATIO = 1.2
SYNC = {(50, 1): 1.0, (50, 16): 1.2, (1, 1): 0.8}
LARGE = {1000: 100_000, 10_000: 30_000, 100_000: 4_000}
LARGE_CLIENTS, LARGE_PIPELINE = 4, 50
REPLICAS = {1: 0.85, 4: 0.6}


def _commands(
    node: Node, test: tuple[str, ...], requests: int, pipeline: int, keys_each: int = 1
) -> Measured:
    """`keys_each`: the rate counts keys, not commands."""
    run = partial(redis_benchmark, node, test, requests=requests, pipeline=pipeline)
    return loaded(node, run, requests * keys_each, keys_each)


def _row(
    name: str,
    ours: Node,
    theirs: Node,
    test: tuple[str, ...],
    requests: int,
    pipeline: int,
    least: float,
    keys_each: int = 1,
) -> Row:
    return Row(
        name=name,
        unit="keys/s" if keys_each > 1 else "/s",
        ours=partial(_commands, ours, test, requests, pipeline, keys_each),
        theirs=partial(_commands, theirs, test, requests, pipeline, keys_each),
        peer="redis",
        limits={"": Limit(ratio=least)},
    )


@contextlib.contextmanager
def _async_rows(directory: Path) -> Iterator[list[Row]]:
    with (
        replicad_pair(directory, 1, "async") as mine,
        redis_pair(directory, 1, "everysec") as other,
    ):
        ours, theirs = mine.primary, other.primary
        for node in (ours, theirs):
            redis_benchmark(node, ("-t", "set"), requests=KEYS, pipeline=64)  # so that reads find most keys
        rows = [_row(f"SET, pipeline {p}", ours, theirs, ("-t", "set"), RATES[p], p, SETS[p]) for p in RATES]
        rows += [_row(f"GET, pipeline {p}", ours, theirs, ("-t", "get"), RATES[p], p, GETS[p]) for p in RATES]
        for count in (10, 100):
            pairs = tuple(word for _ in range(count) for word in ("key:__rand_int__", VALUE))
            keys = ("key:__rand_int__",) * count
            requests = 400_000 // count
            rows.append(
                _row(f"MSET of {count}", ours, theirs, ("MSET", *pairs), requests, 1, BATCH_RATIO, count)
            )
            rows.append(
                _row(f"MGET of {count}", ours, theirs, ("MGET", *keys), requests, 1, BATCH_RATIO, count)
            )
        rows.append(
            Row(
                name="MULTI of 10",
                unit="/s",
                ours=partial(_transactions, ours),
                theirs=partial(_transactions, theirs),
                peer="redis",
                limits={"": Limit(ratio=BATCH_RATIO)},
            )
        )
        yield rows


def _transactions(node: Node) -> Measured:
    count, rounds, clients = 10, 200, CLIENTS
    sets = b"".join(encoded(b"SET", b"multi:%d" % n, VALUE.encode()) for n in range(count))
    request = encoded(b"MULTI") + sets + encoded(b"EXEC")
    reply = b"+OK\r\n" + b"+QUEUED\r\n" * count + b"*%d\r\n" % count + b"+OK\r\n" * count
    run = partial(pipelined, node, [request] * clients, len(reply), rounds=rounds)
    return loaded(node, run, rounds * clients)


@contextlib.contextmanager
def _large_rows(directory: Path) -> Iterator[list[Row]]:
    with (
        replicad_pair(directory, 1, "async") as mine,
        redis_pair(directory, 1, "everysec") as other,
    ):
        yield [
            Row(
                name=f"SET of {size // 1000} KB",
                unit="MB/s",
                ours=partial(_large, mine.primary, size, requests),
                theirs=partial(_large, other.primary, size, requests),
                peer="redis",
                limits={"": Limit(ratio=1.0)},
            )
            for size, requests in LARGE.items()
        ]


def _large(node: Node, size: int, requests: int) -> Measured:
    # redis-benchmark repeats one letter, which compresses to nothing: that would not be a large value.
    def sets(client: int) -> bytes:
        keys = (b"large:%d:%d" % (client, at) for at in range(LARGE_PIPELINE))
        return b"".join(encoded(b"SET", key, os.urandom(size)) for key in keys)

    rounds = requests // (LARGE_CLIENTS * LARGE_PIPELINE)
    pipelines = [sets(client) for client in range(LARGE_CLIENTS)]
    run = partial(pipelined, node, pipelines, len(b"+OK\r\n") * LARGE_PIPELINE, rounds=rounds)
    return loaded(node, run, requests, LARGE_PIPELINE * size / 1e6)


@contextlib.contextmanager
def _sync_rows(directory: Path) -> Iterator[list[Row]]:
    with replicad_pair(directory, 1, "sync") as mine, redis_pair(directory, 1, "always") as other:
        rows = []
        for (clients, pipeline), least in SYNC.items():
            requests = 5_000 if clients == 1 else 40_000 * (4 if pipeline > 1 else 1)

            def synced(node: Node, clients: int, pipeline: int, requests: int) -> Measured:
                run = partial(
                    redis_benchmark,
                    *(node, ("-t", "set")),
                    requests=requests,
                    pipeline=pipeline,
                    clients=clients,
                )
                return loaded(node, run, requests)

            rows.append(
                Row(
                    name=f"SET sync, {clients} clients, pipeline {pipeline}",
                    unit="/s",
                    ours=partial(synced, mine.primary, clients, pipeline, requests),
                    theirs=partial(synced, other.primary, clients, pipeline, requests),
                    peer="redis always",
                    limits={"": Limit(ratio=least)},
                )
            )
        yield rows


@contextlib.contextmanager
def _replica_rows(directory: Path, replicas: int) -> Iterator[list[Row]]:
    (directory / "alone").mkdir()
    with (
        replicad_pair(directory, replicas, "async") as fed,
        replicad_pair(directory / "alone", 0, "async") as alone,
    ):
        yield [
            Row(
                name=f"SET with {replicas} replicas, pipeline 16",
                unit="/s",
                ours=partial(_commands, fed.primary, ("-t", "set"), 300_000, 16),
                theirs=partial(_commands, alone.primary, ("-t", "set"), 300_000, 16),
                peer="alone",
                limits={"": Limit(ratio=REPLICAS[replicas])},
            )
        ]


GROUPS = [
    Group(
        names=(
            *(f"SET, pipeline {p}" for p in RATES),
            *(f"GET, pipeline {p}" for p in RATES),
            *(f"{name} of {count}" for count in (10, 100) for name in ("MSET", "MGET")),
            "MULTI of 10",
        ),
        needs=NEEDS,
        open=_async_rows,
    ),
    Group(
        names=tuple(f"SET sync, {clients} clients, pipeline {p}" for clients, p in SYNC),
        needs=NEEDS,
        open=_sync_rows,
    ),
    Group(names=tuple(f"SET of {size // 1000} KB" for size in LARGE), needs=NEEDS, open=_large_rows),
    *(
        Group(
            names=(f"SET with {n} replicas, pipeline 16",),
            needs=("redis-benchmark",),
            open=partial(_replica_rows, replicas=n),
        )
        for n in REPLICAS
    ),
]
