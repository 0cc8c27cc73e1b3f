"""How long single puts and gets take while flush and compaction run.

Half of the records are there and settled. Then, one after another and as fast as it goes, a record of the
other half is put and one of those present is read, with memtables and levels so small that the background
never rests, and a cache that holds everything. Each call is timed by itself; what ran meanwhile is counted
and said.
"""

from __future__ import annotations

import gc
import random
import shutil
import statistics
import tempfile
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bench.data import Records
from bench.engines import ENGINES, Background, Engine
from bench.measure import ROUNDS, Disagreement
from bench.report import Result, heading, note, show
from bench.sizes import tight
from bench.workloads import BATCH, contents

RECORDS_MAX = 500_000
PERCENTILES = (50.0, 99.0, 99.9)


@dataclass(frozen=True, slots=True)
class Round:
    """Percentiles of one round in nanoseconds, and what ran during it."""

    puts: list[int]
    gets: list[int]
    background: Background
    contents: str


def show_latency(records: Records, seed: int, directory: Path) -> None:
    records = records.first(RECORDS_MAX)
    heading(f"latency under load, {len(records) // 2:,} each")
    sizes = replace(tight(records.data_bytes), cache_bytes=2 * records.data_bytes)
    rounds: dict[str, list[Round]] = {kind.name: [] for kind in ENGINES}
    for number in range(ROUNDS):
        for kind in ENGINES:
            path = Path(tempfile.mkdtemp(dir=directory))
            engine = kind(path / "db", sizes)
            try:
                rounds[kind.name].append(measure_round(engine, records, seed + number))
            finally:
                engine.close()
            shutil.rmtree(path)
        if len({of_engine[-1].contents for of_engine in rounds.values()}) != 1:
            raise Disagreement("the engines hold different data after puts and gets in turn")
    for result in _results(rounds):
        show(result)
    for name, of_engine in rounds.items():
        ran = of_engine[-1].background
        note(
            f"{name}, last round: {ran.flushes} flushes and {ran.compactions} compactions meanwhile,"
            f" puts stalled for {ran.stalled_seconds:.2f} s"
        )


def percentile(ordered: list[int], percent: float) -> int:
    """The smallest of `ordered` that at least `percent` of them do not exceed."""
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, int(rank) - 1)]


def measure_round(engine: Engine, records: Records, seed: int) -> Round:
    half = len(records) // 2
    source = random.Random(seed)
    reads = [source.randrange(half) for _ in range(half)]
    engine.put_batches(records.first(half).batches(BATCH))
    engine.settle()
    before = engine.background()
    puts, gets = array("q"), array("q")
    put, get, clock = engine.put, engine.get, time.perf_counter_ns
    keys, values = records.keys, records.values
    gc.collect()
    gc.disable()
    try:
        for at, wanted in enumerate(reads, start=half):
            key, value, sought = keys[at], values[at], keys[wanted]
            begun = clock()
            put(key, value)
            written = clock()
            found = get(sought)
            read = clock()
            puts.append(written - begun)
            gets.append(read - written)
            if found != values[wanted]:
                raise Disagreement(f"{engine.name}: a get beside compaction found another value")
    finally:
        gc.enable()
    ran = engine.background() - before
    return Round(_percentiles(puts), _percentiles(gets), ran, contents(engine))


def _percentiles(nanoseconds: array[int]) -> list[int]:
    ordered = sorted(nanoseconds)
    return [percentile(ordered, percent) for percent in PERCENTILES]


def _results(rounds: dict[str, list[Round]]) -> Iterator[Result]:
    for kind in ("puts", "gets"):
        for at, percent in enumerate(PERCENTILES):
            ours, theirs = (
                statistics.median(getattr(one, kind)[at] for one in rounds[engine.name]) / 1000
                for engine in ENGINES
            )
            yield Result(f"{kind[:-1]} p{percent:g}", ours, theirs, " µs", less_is_better=True)
