"""Writes to a linked family beside writes to the same family of a primary that is not linked.

The linked primary has no target that reads: what is measured is the stamp of each write.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.daemons.load import loaded, redis_benchmark
from bench.daemons.nodes import Node, replicad_pair
from bench.daemons.row import Group, Measured, Row
from replicad.cli.demonstration.ports import HOST

NEEDS = ("redis-benchmark", "redis-cli")
RATES = {1: 60_000, 16: 200_000}
"""Requests of a measurement by pipeline."""


def _name(pipeline: int) -> str:
    return f"SET in a linked family, pipeline {pipeline}"


def _run(node: Node, requests: int, pipeline: int) -> Measured:
    run = partial(redis_benchmark, node, ("-t", "set"), requests=requests, pipeline=pipeline)
    return loaded(node, run, requests)


def _link(node: Node) -> None:
    """Its families are linked from here on; nobody is at that address."""
    command = ["redis-cli", "-h", HOST, "-p", str(node.port), "REPLICAD.LINK", "ADD", "nobody", f"{HOST}:1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "OK", done.stdout


@contextlib.contextmanager
def _open(directory: Path) -> Iterator[list[Row]]:
    for name in ("linked", "plain"):
        (directory / name).mkdir()
    with (
        replicad_pair(directory / "linked", 0, "async") as linked,
        replicad_pair(directory / "plain", 0, "async") as plain,
    ):
        _link(linked.primary)
        yield [
            Row(
                name=_name(pipeline),
                unit="/s",
                ours=partial(_run, linked.primary, requests, pipeline),
                theirs=partial(_run, plain.primary, requests, pipeline),
                peer="not linked",
                limits={},
            )
            for pipeline, requests in RATES.items()
        ]


GROUPS = [Group(names=tuple(map(_name, RATES)), needs=NEEDS, open=_open)]
