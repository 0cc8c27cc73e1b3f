"""Compiles the kernels' targets with clang's libFuzzer, AddressSanitizer and UBSan, and runs them.

Each target is a file of `native/`, linked with the kernels' own sources, without Python.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.corpus import BUILD, CASES, CORPUS, REPOSITORY

SOURCES = Path(__file__).parent / "native"
KERNELS = REPOSITORY / "replicad" / "kernels"
TARGETS = tuple(sorted(path.stem for path in SOURCES.glob("*.cc")))
PROBLEM = "clang with its libFuzzer is not here (Debian: clang and libclang-rt-14-dev)"

_FLAGS = ["-std=c++20", "-g", "-O1", "-Wall", "-Wextra", "-fno-omit-frame-pointer", f"-I{KERNELS}"]
_SANITIZE = "-fsanitize=address,undefined"
_STRICT = ["-fno-sanitize-recover=undefined"]
_LIMITS = ["-max_len=4096", "-timeout=20", "-rss_limit_mb=1024", "-malloc_limit_mb=256"]
"""An input of 4 KiB may cost 256 MiB in one piece and 1 GiB in all, the sanitizer's own included."""
_INPUTS = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
_CASE = re.compile(r"Test unit written to (\S+)")


@dataclass(frozen=True)
class Ran:
    """How many inputs were read; the one that failed, if any, and what was reported."""

    inputs: int
    case: Path | None
    report: str


def is_available() -> bool:
    """Whether a program with libFuzzer can be linked here."""
    if shutil.which(_compiler()) is None:
        return False
    command = [_compiler(), "-x", "c++", "-fsanitize=fuzzer", "-", "-o", os.devnull]
    target = 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }'
    return subprocess.run(command, input=target, capture_output=True, text=True, check=False).returncode == 0


def build() -> None:
    """Compiles what has changed; raises CalledProcessError with the compiler's words on stderr."""
    BUILD.mkdir(parents=True, exist_ok=True)
    headers = max(path.stat().st_mtime_ns for path in (*KERNELS.rglob("*.h"), *SOURCES.glob("*.h")))
    kernels = [path for path in sorted(KERNELS.rglob("*.cc")) if path.parent.name != "bindings"]
    objects = [BUILD / f"kernel-{path.stem}.o" for path in kernels]
    programs = [SOURCES / f"{target}.cc" for target in TARGETS]

    def compile_kernel(source: Path, made: Path) -> None:
        if _is_stale(made, headers, source):
            _run([*_FLAGS, f"{_SANITIZE},fuzzer-no-link", *_STRICT, "-c", str(source), "-o", str(made)])

    def link(source: Path) -> None:
        made = program(source.stem)
        if _is_stale(made, headers, source, *objects):
            _run([*_FLAGS, f"{_SANITIZE},fuzzer", *_STRICT, str(source), *map(str, objects), "-o", str(made)])

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(compile_kernel, kernels, objects))
        list(pool.map(link, programs))


def program(target: str) -> Path:
    return BUILD / f"fuzz-{target}"


def run(target: str, *, seconds: float, seed: int) -> Ran:
    """Reads the corpus in the tree, what earlier runs added to it, and changes of both."""
    added = BUILD / "corpus" / target
    added.mkdir(parents=True, exist_ok=True)
    CASES.mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={max(1, round(seconds))}", f"-seed={seed}", "-print_final_stats=1", *_LIMITS]
    return _fuzz(target, [*options, f"-artifact_prefix={CASES}/{target}-", str(added), str(CORPUS / target)])


def replay(target: str, cases: list[Path]) -> Ran:
    """Reads these inputs and nothing else."""
    return _fuzz(target, [*_LIMITS, f"-artifact_prefix={CASES}/{target}-", *map(str, cases)])


def _fuzz(target: str, arguments: list[str]) -> Ran:
    environment = {**os.environ, "UBSAN_OPTIONS": "print_stacktrace=1"}
    ran = subprocess.run(
        [str(program(target)), *arguments], capture_output=True, text=True, errors="replace", env=environment
    )
    counted, written = _INPUTS.search(ran.stderr), _CASE.search(ran.stderr)
    case = Path(written[1]) if written else None
    report = "" if ran.returncode == 0 else ran.stderr[-6000:]
    return Ran(int(counted[1]) if counted else 0, case, report)


def _compiler() -> str:
    return os.environ.get("CLANGXX", "clang++")


def _is_stale(made: Path, headers_ns: int, *sources: Path) -> bool:
    if not made.exists():
        return True
    newest = max(headers_ns, *(source.stat().st_mtime_ns for source in sources))
    return made.stat().st_mtime_ns < newest


def _run(arguments: list[str]) -> None:
    subprocess.run([_compiler(), *arguments], check=True)
