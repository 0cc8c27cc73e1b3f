"""Catching up: a stopped replica applies the primary's log, against rocksdict writing the same batches.

The primary and the replica are real daemons. The replica is stopped, its primary's directory is filled, and
then the replica starts again on a copy of its directory, once a round. The clock runs from the first answer
of its client port to the last record applied, and counts the records in between.
"""

from __future__ import annotations

import contextlib
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.data import Records
from bench.engines import Replicad, Rocksdict
from bench.measure import ROUNDS, Disagreement, timed
from bench.report import Result, heading, show
from bench.sizes import Sizes
from replicad.cli.demonstration.ports import HOST, free_ports
from replicad.cli.demonstration.processes import Daemon

BATCHES = (1, 100, 1000)
SECONDS_MAX = 300.0
POLL_SECONDS = 0.005
RECORDS_MAX = 1_000_000


def show_shipping(records: Records, directory: Path) -> None:
    records = records.first(RECORDS_MAX)
    heading(f"a replica catches up, {len(records):,}")
    for batch in BATCHES:
        show(measure_shipping(records, batch, directory))


def measure_shipping(records: Records, batch: int, directory: Path) -> Result:
    """Records a second that a replica applies, and that rocksdict writes."""
    work = Path(tempfile.mkdtemp(dir=directory))
    applied: list[float] = []
    written: list[float] = []
    with filled_primary(records, batch, work) as (primary, stopped, arguments):
        with contextlib.closing(primary.node()) as node:
            target, wanted = node.digest()
        for number in range(ROUNDS):
            name = f"replica-{number}"
            shutil.copytree(stopped, work / name)
            replica = Daemon(name, "replica", work, arguments, free_ports(1)[0])
            applied.append(catch_up(replica, target, wanted))
            written.append(_write(records, batch, work / f"rocksdict-{number}"))
    shutil.rmtree(work)
    return Result(f"batches of {batch}", statistics.median(applied), statistics.median(written), "/s")


@contextlib.contextmanager
def filled_primary(records: Records, batch: int, work: Path) -> Iterator[tuple[Daemon, Path, list[str]]]:
    """(running primary with all records, directory of a replica that knows none of them, its arguments)."""
    client, feed, follower = free_ports(3)
    arguments = ["--primary", f"{HOST}:{feed}"]
    primary = Daemon("primary", "primary", work, ["--replication", f"{HOST}:{feed}"], client)
    replica = Daemon("replica", "replica", work, arguments, follower)
    try:
        primary.start()
        replica.start()
        with contextlib.closing(primary.node()) as node:
            node.client.call("SET", "first", "1")
        replica.wait_for_sequence(1, SECONDS_MAX)
        replica.stop()
        primary.stop()
        engine = Replicad(primary.data, Sizes())
        if batch == 1:
            engine.put_each(zip(records.keys, records.values, strict=True))
        else:
            engine.put_batches(records.batches(batch))
        engine.close()
        primary.start()
        yield primary, replica.data, arguments
    finally:
        replica.abandon()
        primary.abandon()


def catch_up(replica: Daemon, target: int, wanted: str) -> float:
    begun, first = time.perf_counter(), 0
    try:
        replica.start()
        with contextlib.closing(replica.node()) as node:
            seen = node.sequence()
            if seen is not None and seen < target:
                # Not yet there: the start of the process is not counted.
                begun, first = time.perf_counter(), seen
            while (reached := node.sequence()) is None or reached < target:
                if time.perf_counter() - begun > SECONDS_MAX:
                    raise Disagreement(f"{replica.name} stands at {reached} and did not reach {target}")
                time.sleep(POLL_SECONDS)
            rate = (target - first) / (time.perf_counter() - begun)
            if node.digest() != (target, wanted):
                raise Disagreement(f"{replica.name} caught up to other data than its primary's")
        replica.stop()
        return rate
    finally:
        replica.abandon()


def _write(records: Records, batch: int, path: Path) -> float:
    engine = Rocksdict(path, Sizes())
    if batch == 1:
        seconds, _ = timed(lambda: engine.put_each(zip(records.keys, records.values, strict=True)))
    else:
        batches = list(records.batches(batch))
        seconds, _ = timed(lambda: engine.put_batches(batches))
    engine.close()
    return len(records) / seconds
