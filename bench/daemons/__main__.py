"""`make bench-daemons`: the daemons beside Redis, rsync and RocksDB's shipping, in one run."""

from __future__ import annotations

import argparse
import compileall
import fnmatch
import json
import os
import platform
import signal
import sys
import tempfile
from pathlib import Path

import replicad
from bench.daemons import copies, embedded, encrypted, lag, linked, serving, shipping, starting
from bench.daemons.row import HEADING, Group, Line, measure, show, skipped, version_of

GB = 1_000_000_000
SIZES = {"small": (GB // 4, 100_000), "full": (5 * GB, 1_000_000)}
"""Bytes of a copied database, and records of the log that is caught up with."""


def main() -> int:
    arguments = _parser().parse_args()
    # Ended from outside it ends its servers as it does on Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # An installed program is compiled; without this the start of a working copy would be measured with it.
    compileall.compile_dir(Path(replicad.__file__).parent, quiet=2)

    versions = [
        f"replicad {replicad.__version__}, python {platform.python_version()}",
        version_of("redis-server", "--version"),
        version_of("rsync", "--version"),
        f"{os.cpu_count()} processors, load average {os.getloadavg()[0]:.1f}",
    ]
    print(*versions, f"medians of {arguments.rounds} rounds in turn", sep="\n")
    print(f"\n{HEADING}")
    lines = _run(_groups(arguments.sizes), arguments.only, arguments.rounds, arguments.directory)
    if arguments.json is not None:
        document = {"versions": versions, "rows": [line.document() for line in lines]}
        arguments.json.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return 0


def _groups(sizes: str) -> list[Group]:
    size_bytes, records = SIZES[sizes]
    return [
        *serving.GROUPS,
        *encrypted.GROUPS,
        *linked.GROUPS,
        *lag.GROUPS,
        *copies.groups(size_bytes),
        *shipping.groups(records),
        *starting.groups(size_bytes),
        *embedded.groups(),
    ]


def _run(groups: list[Group], only: str, rounds: int, directory: Path | None) -> list[Line]:
    lines: list[Line] = []
    for group in groups:
        if not group.is_wanted(only):
            continue
        if missing := group.missing():
            skipped(group, missing)
            continue
        with (
            tempfile.TemporaryDirectory(prefix="replicad-bench-", dir=directory) as work,
            group.open(Path(work)) as rows,
        ):
            for row in rows:
                if fnmatch.fnmatchcase(row.name, only):
                    for line in measure(row, rounds):
                        show(line)
                        lines.append(line)
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.daemons", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of every row, on both sides in turn")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="rows whose name matches: 'SET*'")
    parser.add_argument("--sizes", choices=SIZES, default="small", help="copies of 250 MB, or of 5 GB")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the table there")
    parser.add_argument("--directory", type=Path, help="where data goes (a temporary directory)")
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
