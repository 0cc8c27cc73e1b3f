"""From what an application names as its target to the `Target` that reads and writes there."""

from __future__ import annotations

from pathlib import Path

from replicad.backup.address import parse_target
from replicad.backup.directory_target import DirectoryTarget
from replicad.backup.fsspec_target import FsspecTarget
from replicad.backup.target import Target
from replicad.env import Env


def open_target(where: str | Path | Target, env: Env, *, sync: bool = True) -> Target:
    """A path, a URL (`address`), or a target, which is given back as it is. Raises ConfigError."""
    if not isinstance(where, str | Path):
        return where
    address = parse_target(where) if isinstance(where, str) else where
    if isinstance(address, Path):
        return DirectoryTarget(env, address, sync=sync)
    return FsspecTarget(address)
