"""The program as it was at another revision: exported from git, built once, and kept in `build/upgrade/`."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "build" / "upgrade"


@dataclass(frozen=True, slots=True)
class Build:
    """`program` starts it; each build has an environment of its own."""

    name: str
    program: tuple[str, ...]


def this_build() -> Build:
    return Build("new", (sys.executable, "-m", "replicad"))


def build_of(revision: str) -> Build:
    """Raises CalledProcessError for a revision that git does not know, or that does not build.

    The revision is exported, so that the work tree and its list of work trees stay as they are.
    """
    commit = _git("rev-parse", "--verify", f"{revision}^{{commit}}")
    tree = KEPT / commit
    made = tree / ".upgrade-made"
    if not made.exists():
        print(f"building {revision} ({commit[:7]}) in {tree.relative_to(ROOT)}", flush=True)
        tree.mkdir(parents=True, exist_ok=True)
        with subprocess.Popen(["git", "archive", commit], cwd=ROOT, stdout=subprocess.PIPE) as archive:
            subprocess.run(["tar", "-x", "-C", str(tree)], stdin=archive.stdout, check=True)
        with (tree / "setup.log").open("w") as log:
            subprocess.run(["make", "setup"], cwd=tree, stdout=log, stderr=subprocess.STDOUT, check=True)
        made.touch()
    return Build(f"old ({commit[:7]})", (str(tree / ".venv" / "bin" / "replicad"),))


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()
