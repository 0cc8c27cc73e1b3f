"""Builds the kernels with a sanitizer, beside the ordinary ones, and runs tests with them.

    python tests/native/sanitized.py address|undefined|thread [pytest arguments]

The interpreter is not instrumented, so the sanitizer's runtime is preloaded. Leaks are not looked for: the
interpreter has its own. Without arguments the kernels' tests run, and the store under concurrent load for
STRESS_SECONDS (60).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
RUNTIMES = {"address": "libasan.so", "undefined": "libubsan.so", "thread": "libtsan.so"}
OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:report_signal_unsafe=0",
}
TESTS = ["tests/kernels", "tests/store/test_concurrency.py"]

# The editable installation's finder comes before sys.path: without it the sanitized package is found.
RUN = """
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in type(finder).__module__]
sys.path.insert(0, sys.argv.pop(1))
import replicad.kernels._kernels as kernels
print("kernels:", kernels.__file__)
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""


def build(sanitizer: str) -> Path:
    """The directory to import the sanitized package from."""
    target = REPOSITORY / "build" / f"{sanitizer}-package"
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "."]
    command += ["--no-build-isolation", "--no-deps", "--upgrade", "--target", str(target)]
    command += [f"-Cbuild-dir=build/{sanitizer}", f"-Ccmake.define.REPLICAD_SANITIZE={sanitizer}"]
    subprocess.run(command, cwd=REPOSITORY, check=True)
    return target


def library(name: str) -> str:
    """The path of one of the compiler's libraries."""
    compiler = os.environ.get("CXX", "g++")
    command = [compiler, f"-print-file-name={name}"]
    path = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    if not Path(path).is_absolute():
        sys.exit(f"{compiler} has no {name}: install its sanitizer runtimes")
    return path


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in RUNTIMES:
        print(__doc__, file=sys.stderr)
        return 2
    sanitizer, *tests = arguments
    package = build(sanitizer)
    # With the C++ library there from the start, the runtime finds the functions that throw.
    preload = " ".join((library(RUNTIMES[sanitizer]), library("libstdc++.so")))
    environment = {**os.environ, **OPTIONS, "LD_PRELOAD": preload}
    environment.setdefault("STRESS_SECONDS", "60")
    environment["PYTHONMALLOC"] = "malloc"
    options = ["-p", "no:cacheprovider", "-o", "timeout=600"]
    command = [sys.executable, "-c", RUN, str(package), *options, *(tests or TESTS)]
    return subprocess.run(command, cwd=REPOSITORY, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
