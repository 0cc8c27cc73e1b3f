"""What is in a directory, to see whether anything of it was changed."""

from __future__ import annotations

import hashlib
from pathlib import Path

LOCKS = {"LOCK", "daemon.lock", "lock.mdb"}
"""Files whose content says who is at work, and nothing about the data."""


def contents(directory: Path, *, with_locks: bool = False) -> dict[str, str]:
    """SHA-256 of each file below, by its path; empty text for a directory."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else ""
        for path in sorted(directory.rglob("*"))
        if with_locks or path.name not in LOCKS
    }


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
