"""`make bench-plots`: measures how the cost of a node grows, and writes JSON and PNGs."""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import replicad
from bench.plots.draw import draw
from bench.plots.extent import FULL, QUICK
from bench.plots.growth import CURVES, measure_curve
from bench.plots.machine_limits import measure_limits

RESULTS = Path(__file__).parent.parent / "results"


def main() -> int:
    arguments = _parser().parse_args()
    if shutil.which("redis-benchmark") is None:
        print("redis-benchmark is not installed (Debian: redis-tools)", file=sys.stderr)
        return 1
    # Ended from outside it ends its servers as it does on Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # An installed program is compiled; without this the start of a working copy would be measured with it.
    compileall.compile_dir(Path(replicad.__file__).parent, quiet=2)

    arguments.results.mkdir(parents=True, exist_ok=True)
    document = _measure(arguments.only or list(CURVES), arguments.directory, quick=arguments.quick)
    path = arguments.results / "growth.json"
    path.write_text(json.dumps(document, indent=1) + "\n")
    for made in (path, *draw(document, arguments.results)):
        print(made)
    return 0


def _measure(names: list[str], directory: Path | None, *, quick: bool) -> dict[str, Any]:
    extent = QUICK if quick else FULL
    versions = [
        f"replicad {replicad.__version__}",
        f"python {platform.python_version()}",
        f"{os.cpu_count()} processors",
        f"load average {os.getloadavg()[0]:.1f}",
    ]
    curves: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="replicad-plots-", dir=directory) as work:
        limits = measure_limits(Path(work), extent)
        print(limits, flush=True)
        for name in names:
            curves[name] = measure_curve(name, Path(work), extent)
            for point in curves[name]:
                print(name, *(f"{key}={value:.6g}" for key, value in point.items()), flush=True)
    return {"versions": versions, "limits": asdict(limits), "curves": curves}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.plots", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short curves, in two minutes")
    parser.add_argument("--only", nargs="+", choices=CURVES, metavar="CURVE", help=f"of {', '.join(CURVES)}")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where JSON and PNGs go")
    parser.add_argument("--directory", type=Path, help="where data goes (a temporary directory)")
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
