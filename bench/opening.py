"""How long a settled database takes to open and answer its first get."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench.data import Records
from bench.engines import ENGINES, Engine
from bench.measure import ROUNDS, Disagreement, timed
from bench.report import Result, heading, show
from bench.sizes import Sizes, roomy
from bench.workloads import BATCH


def show_opening(records: Records, directory: Path) -> None:
    """For all the records, a tenth and, where that is still many, a hundredth of them."""
    counts = [len(records) // part for part in (100, 10) if len(records) // part >= 10_000]
    heading("open and one get, files in cache")
    for count in [*counts, len(records)]:
        show(measure_opening(records.first(count), directory))


def measure_opening(records: Records, directory: Path) -> Result:
    sizes = roomy(records.data_bytes)
    seconds: dict[str, list[float]] = {kind.name: [] for kind in ENGINES}
    with tempfile.TemporaryDirectory(dir=directory) as path:
        for kind in ENGINES:
            engine: Engine = kind(Path(path) / kind.name, sizes)
            engine.put_batches(records.batches(BATCH))
            engine.settle()
            engine.close()
        for number in range(ROUNDS):
            for kind in ENGINES:
                at = number * len(records) // ROUNDS
                key, value = records.keys[at], records.values[at]
                took, (engine, found) = timed(partial(_open, kind, Path(path) / kind.name, sizes, key))
                seconds[kind.name].append(took * 1000)
                engine.close()
                if found != value:
                    raise Disagreement(f"{kind.name}: another value after opening")
    ours, theirs = (statistics.median(seconds[kind.name]) for kind in ENGINES)
    return Result(f"{len(records):,} records", ours, theirs, " ms", less_is_better=True)


def _open(
    kind: Callable[[Path, Sizes], Engine], path: Path, sizes: Sizes, key: bytes
) -> tuple[Engine, bytes | None]:
    engine = kind(path, sizes)
    return engine, engine.get(key)
