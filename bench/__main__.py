"""`python -m bench`: replicad beside rocksdict in one run, as ratios."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.amplification import show_amplification
from bench.backup import MB, show_backup
from bench.data import VALUE_BYTES, Records, make_records
from bench.engines import versions
from bench.latency import show_latency
from bench.measure import ROUNDS, Disagreement
from bench.memory import show_memory
from bench.opening import show_opening
from bench.roles import show_role_changes
from bench.shipping import show_shipping
from bench.table import show_ratios, show_table

OTHER_VALUE_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Run:
    """One run: what it writes and where."""

    records: Records
    seed: int
    only: str
    directory: Path
    backup_bytes: int

    @property
    def value_bytes(self) -> int:
        return len(self.records.values[0])


def _other_sizes(run: Run) -> None:
    few = max(1, len(run.records) // 10)
    show_ratios([(few, run.value_bytes), (few, OTHER_VALUE_BYTES)], run.seed, run.directory)


SECTIONS: dict[str, Callable[[Run], None]] = {
    "table": lambda run: show_table(run.records, run.seed, run.only, run.directory),
    "sizes": _other_sizes,
    "latency": lambda run: show_latency(run.records, run.seed, run.directory),
    "opening": lambda run: show_opening(run.records, run.directory),
    "memory": lambda run: show_memory(len(run.records), run.value_bytes, run.directory),
    "amplification": lambda run: show_amplification(run.records, run.seed, run.directory),
    "shipping": lambda run: show_shipping(run.records, run.directory),
    "roles": lambda run: show_role_changes(run.directory),
    "backup": lambda run: show_backup(run.backup_bytes, run.seed, run.directory),
}


def main() -> int:
    arguments = _parser().parse_args()
    wanted = arguments.sections or (["table"] if arguments.only else list(SECTIONS))
    print(f"{versions()}, python {sys.version.split()[0]}, load average {os.getloadavg()[0]:.1f}")
    print(f"seed {arguments.seed}, medians of {ROUNDS} rounds in turn, no fsync; above 1, replicad is better")
    records = make_records(arguments.records, arguments.seed, arguments.value_bytes)
    with tempfile.TemporaryDirectory(prefix="replicad-bench-", dir=arguments.directory) as directory:
        run = Run(records, arguments.seed, arguments.only, Path(directory), arguments.backup_megabytes * MB)
        try:
            for name in wanted:
                SECTIONS[name](run)
        except Disagreement as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--records", type=_count, default=1_000_000, help="records in the database")
    parser.add_argument("--value-bytes", type=_count, default=VALUE_BYTES, help="bytes of a value")
    parser.add_argument(
        "--backup-megabytes", type=_count, default=1000, help="of the database that is backed up"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the random keys and values")
    parser.add_argument("--directory", type=Path, default=None, help="where databases go (a temporary one)")
    parser.add_argument(
        "--sections", nargs="+", choices=SECTIONS, metavar="NAME", help=f"of {', '.join(SECTIONS)}; all"
    )
    parser.add_argument("--only", default="", help="of the table, only workloads whose name contains this")
    return parser


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a count of at least 1")
    return count


if __name__ == "__main__":
    sys.exit(main())
