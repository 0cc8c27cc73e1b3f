"""Where damaged received log is kept: beside the tables that rotted, until an operator removes it."""

from __future__ import annotations

from pathlib import Path

from replicad.env import FileSystem
from replicad.env.atomic import link_or_copy

QUARANTINE = "quarantine"
"""The directory, in the data directory."""
TORN = ".torn"
"""What the name of a file of received log ends with there."""


def keep_cut(fs: FileSystem, paths: list[Path]) -> list[Path]:
    """Keeps files of the received log, durably, under names that are free; where they are."""
    kept: list[Path] = []
    for path in paths:
        directory = path.parent.parent / QUARANTINE
        fs.make_directories(directory)
        number, target = 1, directory / f"received-{path.name}{TORN}"
        while fs.exists(target):
            number += 1
            target = directory / f"received-{path.name}.{number}{TORN}"
        link_or_copy(fs, path, target)
        kept.append(target)
        fs.sync_directory(directory)
    return kept
