"""Builds the kernels of a copied tree after one C++ file of it was changed: that file is compiled, the rest
is linked as the checkout was built."""

from __future__ import annotations

import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

from replicad.kernels import _kernels


def build_directory(repository: Path) -> Path:
    """Where the editable installation was built."""
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    return repository / "build" / f"{tag}-{tag}-{platform}"


def rebuild(repository: Path, tree: Path, file: str) -> None:
    """`file`, a .cc file relative to either, is taken from `tree`, where the kernels are put."""
    built = build_directory(repository)
    ninja = Path(sys.executable).with_name("ninja")
    listed = subprocess.run(
        [ninja, "-t", "commands"], cwd=built, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    (compiling,) = (line for line in listed if line.endswith(f" -c {repository / file}"))
    (linking,) = (line for line in listed if f" -o {Path(_kernels.__file__).name} " in line)

    # The changed file stands in for the one that was built, in both commands.
    new_object = tree / "changed.o"
    command = shlex.split(compiling)
    old_object = command[command.index("-o") + 1]
    command[command.index("-o") + 1] = str(new_object)
    command[command.index("-MF") + 1] = str(tree / "changed.d")
    command[-1] = str(tree / file)
    subprocess.run(command, cwd=built, check=True, capture_output=True)

    (link,) = (part for part in linking.split("&&") if " -o " in part)
    command = [str(new_object) if part == old_object else part for part in shlex.split(link)]
    command[command.index("-o") + 1] = str(tree / "replicad" / "kernels" / Path(_kernels.__file__).name)
    subprocess.run(command, cwd=built, check=True, capture_output=True)
