"""Runs chosen tests on a copy of the tree, mutated or not. The checkout is only read.

The copy is imported because PYTHONPATH names it and its `sitecustomize` takes the editable installation's
finder away, in the processes that tests start as well.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from replicad.kernels import _kernels
from tests.teeth.mutation import Mutation
from tests.teeth.native import rebuild

REPOSITORY = Path(__file__).resolve().parents[2]
KERNELS = Path(_kernels.__file__)
DIRECTORIES = ("replicad", "tests", "proto", "deploy")
FILES = ("pyproject.toml", "README.md", "Makefile")
SECONDS_MAX = 120.0
"""For the tests of one mutation."""
HANGING_SECONDS_MAX = 60.0
"""For those of one that may make the code wait for ever: they are quick without it."""

_SITE = """\
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in type(finder).__module__]
"""
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+::[^\n]*?)(?: - .*)?$", re.MULTILINE)
_NOT_CAUGHT = re.compile(r"no tests ran|errors? during collection|Timeout >", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`test` is the one that failed; None when none did, and `says` tells what happened then."""

    mutation: Mutation
    test: str | None
    says: str

    @property
    def caught(self) -> bool:
        return self.test is not None


def try_out(mutation: Mutation) -> Verdict:
    """Applies the mutation to a new copy and runs its tests. Raises Stale."""
    seconds_max = HANGING_SECONDS_MAX if mutation.hangs else SECONDS_MAX
    with tempfile.TemporaryDirectory(prefix="teeth-") as directory:
        tree = copy_tree(Path(directory))
        if mutation.is_compiled:
            shutil.copy2(REPOSITORY / mutation.file, tree / mutation.file)
        mutation.apply(tree)
        if mutation.is_compiled:
            rebuild(REPOSITORY, tree, mutation.file)
        code, output = run_tests(tree, mutation.caught_by, seconds_max)
    if code is None:
        return Verdict(mutation, "out of time" if mutation.hangs else None, "it ran out of time")
    failed = _FAILED.search(output)
    if code == 1 and failed is not None and _NOT_CAUGHT.search(output) is None:
        return Verdict(mutation, failed[1], "caught")
    if code == 0:
        return Verdict(mutation, None, "the tests pass")
    return Verdict(mutation, None, f"pytest ended with {code}:\n{output[-3000:]}")


def control(mutations: Iterable[Mutation], seconds_max: float) -> str | None:
    """What the tests of all mutations say without any: None when they pass, as they must."""
    tests = sorted({test for mutation in mutations for test in mutation.caught_by})
    with tempfile.TemporaryDirectory(prefix="teeth-") as directory:
        tree = copy_tree(Path(directory))
        found = subprocess.run(
            [sys.executable, "-c", "import replicad; print(replicad.__file__)"],
            cwd=tree,
            env=_environment(tree),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert Path(found.strip()).is_relative_to(tree), f"{found} is tested, not the copy in {tree}"
        code, output = run_tests(tree, tests, seconds_max)
    return None if code == 0 else f"pytest ended with {code}:\n{output[-3000:]}"


def copy_tree(directory: Path) -> Path:
    """A copy of what the tests need, with the compiled kernels as they are."""
    tree = directory / "tree"
    for name in DIRECTORIES:
        shutil.copytree(REPOSITORY / name, tree / name, ignore=shutil.ignore_patterns("*.cc", "*.h", "teeth"))
    for name in FILES:
        shutil.copy2(REPOSITORY / name, tree / name)
    shutil.copy2(KERNELS, tree / "replicad" / "kernels" / KERNELS.name)
    (tree / "sitecustomize.py").write_text(_SITE)
    return tree


def run_tests(tree: Path, tests: Iterable[str], seconds_max: float) -> tuple[int | None, str]:
    """pytest's exit code, None when the time was over, and what it printed."""
    options = ["-x", "-rfE", "--tb=line", "-p", "no:cacheprovider", "-o", "timeout=0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, f"--basetemp={tree.parent / 'tmp'}", *tests],
        cwd=tree,
        env=_environment(tree),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=seconds_max)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None, ""
    return process.returncode, output


def _environment(tree: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(tree), "TMPDIR": str(tree.parent), "COLUMNS": "300"}
