"""Commands over TLS, beside the same node in clear text and beside Redis over TLS."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.daemons.load import KEYS, loaded, redis_benchmark
from bench.daemons.nodes import Certificates, Node, Pair, redis_tls, replicad_pair, replicad_primary
from bench.daemons.row import Group, Measured, Row

NEEDS = ("redis-server", "redis-benchmark")
RATES = {1: 60_000, 16: 400_000}
"""Requests of a measurement by pipeline."""
TESTS = ("SET", "GET")


def _names(peer: str) -> tuple[str, ...]:
    return tuple(f"{test} over TLS, pipeline {p}, beside {peer}" for test in TESTS for p in RATES)


def _run(node: Node, test: str, requests: int, pipeline: int) -> Measured:
    run = partial(redis_benchmark, node, ("-t", test.lower()), requests=requests, pipeline=pipeline)
    return loaded(node, run, requests)


def _rows(ours: Node, theirs: Node, peer: str) -> list[Row]:
    return [
        Row(
            name=f"{test} over TLS, pipeline {p}, beside {peer}",
            unit="/s",
            ours=partial(_run, ours, test, RATES[p], p),
            theirs=partial(_run, theirs, test, RATES[p], p),
            peer=peer,
            limits={},
        )
        for test in TESTS
        for p in RATES
    ]


@contextlib.contextmanager
def _open(directory: Path) -> Iterator[list[Row]]:
    certificates = Certificates.make(directory / "ca")
    (directory / "clear").mkdir()
    node, _ = replicad_primary(
        directory, "encrypted", "--durability", "async", *certificates.flags(directory)
    )
    node.ca_file = certificates.ca
    answers = (b"PING\r\n", b"+PONG")
    with (
        Pair(node, [], answers) as mine,
        replicad_pair(directory / "clear", 0, "async") as clear,
        redis_tls(directory, certificates) as redis,
    ):
        for each in (mine, clear, redis):
            redis_benchmark(each.primary, ("-t", "set"), requests=KEYS // 4, pipeline=64)
        yield [
            *_rows(mine.primary, clear.primary, "clear text"),
            *_rows(mine.primary, redis.primary, "redis TLS"),
        ]


GROUPS = [Group(names=(*_names("clear text"), *_names("redis TLS")), needs=NEEDS, open=_open)]
