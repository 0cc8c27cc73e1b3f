"""The table of workloads, whole for one amount of data, and as ratios alone for others."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.data import Records, make_records
from bench.engines import ENGINES, Engine
from bench.measure import Disagreement, measure_fresh, measure_reading
from bench.report import WIDTH, Result, heading, show
from bench.sizes import roomy
from bench.workloads import BATCH, Workload, contents, workloads


def show_table(records: Records, seed: int, only: str, directory: Path) -> None:
    """Every workload whose name contains `only`, as rates."""
    wanted = [one for one in workloads(records, seed) if only in one.name]
    if wanted:
        heading(f"{len(records):,} records of {records.data_bytes // len(records)} bytes")
        measure(wanted, records, directory, show)


def show_ratios(shapes: list[tuple[int, int]], seed: int, directory: Path) -> None:
    """Every workload for each (records, bytes of a value), ratios only, side by side."""
    print(f"\n{'ratios at other sizes':{WIDTH}}", end="")
    print("".join(f"{f'{count:,} x {value_bytes}':>16}" for count, value_bytes in shapes), flush=True)
    columns: list[list[Result]] = []
    for count, value_bytes in shapes:
        records = make_records(count, seed, value_bytes)
        columns.append([])
        measure(workloads(records, seed), records, directory, columns[-1].append)
    for row in zip(*columns, strict=True):
        print(f"{row[0].name:{WIDTH}}" + "".join(f"{result.ratio:>16.2f}" for result in row), flush=True)


def measure(
    wanted: list[Workload], records: Records, directory: Path, tell: Callable[[Result], None]
) -> None:
    """Measures the workloads one by one; those that read share one settled database of each engine."""
    sizes = roomy(records.data_bytes)
    for workload in wanted:
        if workload.fresh:
            tell(measure_fresh(workload, directory, sizes))
    reading = [workload for workload in wanted if not workload.fresh]
    if not reading:
        return
    with tempfile.TemporaryDirectory(dir=directory) as path:
        engines: list[Engine] = []
        try:
            for kind in ENGINES:
                engines.append(kind(Path(path) / kind.name, sizes))
                engines[-1].put_batches(records.batches(BATCH))
                engines[-1].settle()
            if len({contents(engine) for engine in engines}) != 1:
                raise Disagreement("the engines hold different data after loading")
            for workload in reading:
                tell(measure_reading(workload, engines))
        finally:
            for engine in engines:
                engine.close()
