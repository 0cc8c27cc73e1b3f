"""`python -m bench`: every workload on both engines in one run, and a table of ratios."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from bench.data import Records, make_records
from bench.engines import ENGINES, Engine, versions
from bench.measure import ROUNDS, Disagreement, Result, measure_fresh, measure_reading
from bench.shipping import BATCHES, measure_shipping
from bench.workloads import BATCH, contents, workloads


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000, help="records in the database")
    parser.add_argument("--seed", type=int, default=1, help="of the random keys and values")
    parser.add_argument("--directory", type=Path, default=None, help="where databases go (a temporary one)")
    parser.add_argument("--only", default="", help="only workloads whose name contains this")
    arguments = parser.parse_args()
    print(f"{versions()}, python {sys.version.split()[0]}")
    print(f"{arguments.records} records, seed {arguments.seed}, medians of {ROUNDS} rounds in turn, no fsync")
    print(f"{'':32}{'replicad':>14}{'rocksdict':>14}{'ratio':>8}")
    with tempfile.TemporaryDirectory(prefix="replicad-bench-", dir=arguments.directory) as directory:
        try:
            run(Path(directory), make_records(arguments.records, arguments.seed), arguments)
        except Disagreement as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
    return 0


def run(directory: Path, records: Records, arguments: argparse.Namespace) -> None:
    wanted = [one for one in workloads(records, arguments.seed) if arguments.only in one.name]
    for workload in wanted:
        if workload.fresh:
            show(measure_fresh(workload, directory))
    if any(not workload.fresh for workload in wanted):
        engines: list[Engine] = []
        for kind in ENGINES:
            engine = kind(directory / kind.name)
            engine.put_batches(records.batches(BATCH))
            engine.settle()
            engines.append(engine)
        if len({contents(engine) for engine in engines}) != 1:
            raise Disagreement("the engines hold different data after loading")
        for workload in wanted:
            if not workload.fresh:
                show(measure_reading(workload, engines))
        for engine in engines:
            engine.close()
    for batch in BATCHES:
        if arguments.only in f"replica catches up, batches of {batch}":
            show(measure_shipping(records, batch, directory))


def show(result: Result) -> None:
    print(f"{result.name:32}{result.ours:>12,.0f}/s{result.theirs:>12,.0f}/s{result.ratio:>8.2f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
